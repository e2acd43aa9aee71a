import Channels
import Testing

@Suite struct BoundedChannelTests {
    @Test func elementsComeOutInOrderAndNotMoreThanTheCapacityWait() async {
        let channel = BoundedChannel<Int>(capacity: 2)
        #expect(channel.trySend(1))
        #expect(await channel.send(2))
        #expect(channel.trySend(3) == false)
        #expect(channel.count == 2)
        #expect(await channel.receive() == 1)
        #expect(channel.tryReceive() == 2)
        #expect(channel.tryReceive() == nil)
    }

    @Test func aSenderWaitsForRoomAndKeepsItsPlace() async {
        let executor = ThreadExecutor(name: "test")
        defer { executor.stop() }
        let channel = BoundedChannel<Int>(capacity: 1)
        #expect(await channel.send(1))
        // On one executor, in the order of creation: 2 waits before 3 does.
        let second = Task(executorPreference: TaskExecutorOf(executor)) { await channel.send(2) }
        let third = Task(executorPreference: TaskExecutorOf(executor)) { await channel.send(3) }
        await Task(executorPreference: TaskExecutorOf(executor)) {}.value
        #expect(channel.count == 1)
        #expect(await channel.receive() == 1)
        #expect(await channel.receive() == 2)
        #expect(await channel.receive() == 3)
        #expect(await second.value)
        #expect(await third.value)
    }

    @Test func receiversAreServedInTheOrderInWhichTheyCame() async {
        let executor = ThreadExecutor(name: "test")
        defer { executor.stop() }
        let channel = BoundedChannel<Int>(capacity: 4)
        let first = Task(executorPreference: TaskExecutorOf(executor)) { await channel.receive() }
        let second = Task(executorPreference: TaskExecutorOf(executor)) { await channel.receive() }
        await Task(executorPreference: TaskExecutorOf(executor)) {}.value
        #expect(channel.trySend(1))
        #expect(channel.trySend(2))
        #expect(await first.value == 1)
        #expect(await second.value == 2)
        #expect(channel.count == 0)
    }

    @Test func closeRefusesSendersAndLetsWhatIsThereOut() async {
        let channel = BoundedChannel<Int>(capacity: 1)
        #expect(await channel.send(1))
        let waiting = Task { await channel.send(2) }
        channel.close()
        #expect(await waiting.value == false)
        #expect(await channel.send(3) == false)
        #expect(channel.trySend(3) == false)
        #expect(await channel.receive() == 1)
        #expect(await channel.receive() == nil)
    }

    @Test func closeEndsAWaitingReceiver() async {
        let channel = BoundedChannel<Int>(capacity: 1)
        let waiting = Task { await channel.receive() }
        channel.close()
        #expect(await waiting.value == nil)
    }

    @Test func aCancelledSenderTakesItsElementBack() async {
        let channel = BoundedChannel<Int>(capacity: 1)
        #expect(await channel.send(1))
        let waiting = Task { await channel.send(2) }
        waiting.cancel()
        #expect(await waiting.value == false)
        #expect(channel.tryReceive() == 1)
        #expect(channel.tryReceive() == nil)
    }

    @Test func aCancelledReceiverTakesNothing() async {
        let channel = BoundedChannel<Int>(capacity: 1)
        let waiting = Task { await channel.receive() }
        waiting.cancel()
        #expect(await waiting.value == nil)
        #expect(channel.trySend(1))
        #expect(channel.tryReceive() == 1)
    }

    @Test func cancellationsBetweenThreadsLoseAndRepeatNothing() async {
        let channel = BoundedChannel<Int>(capacity: 3)
        let count = 2_000
        let received = Task {
            var values: Set<Int> = []
            var duplicates = 0
            while let value = await channel.receive() {
                if !values.insert(value).inserted { duplicates += 1 }
            }
            return (values, duplicates)
        }
        var sent: Set<Int> = []
        await withTaskGroup(of: Int?.self) { group in
            for value in 0..<count {
                group.addTask {
                    let task = Task { await channel.send(value) }
                    if value.isMultiple(of: 3) { task.cancel() }
                    return await task.value ? value : nil
                }
            }
            for await value in group { if let value { sent.insert(value) } }
        }
        channel.close()
        let (values, duplicates) = await received.value
        #expect(values == sent)
        #expect(duplicates == 0)
        #expect(sent.count >= count * 2 / 3)
    }
}
