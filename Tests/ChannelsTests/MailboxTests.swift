import Channels
import Testing

@Suite struct MailboxTests {
    @Test func everythingPutIsTakenAtOnceInOrder() async {
        let mailbox = Mailbox<Int>()
        for value in 1...5 { mailbox.put(value) }
        #expect(mailbox.count == 5)
        #expect(await mailbox.takeAll() == [1, 2, 3, 4, 5])
        #expect(mailbox.takeNow() == [])
    }

    @Test func aWaitingReaderGetsTheNextElement() async {
        let mailbox = Mailbox<Int>()
        let task = Task { await mailbox.takeAll() }
        mailbox.put(7)
        #expect(await task.value == [7])
    }

    @Test func whatWasPutBeforeTheCloseCanStillBeTaken() async {
        let mailbox = Mailbox<Int>()
        mailbox.put(1)
        mailbox.close()
        #expect(mailbox.put(2) == false)
        #expect(await mailbox.takeAll() == [1])
        #expect(await mailbox.takeAll() == [])
    }

    @Test func cancellationEndsTheWaitAndLosesNothing() async {
        let mailbox = Mailbox<Int>()
        let task = Task { await mailbox.takeAll() }
        task.cancel()
        #expect(await task.value == [])
        mailbox.put(3)
        #expect(await mailbox.takeAll() == [3])
    }

    @Test func manyProducersLoseNothingAndKeepTheirOrder() async {
        let mailbox = Mailbox<(producer: Int, value: Int)>()
        let reader = Task {
            var next = [Int](repeating: 0, count: 4)
            var taken = 0
            while taken < 40_000 {
                let batch = await mailbox.takeAll()
                for element in batch where next[element.producer] == element.value {
                    next[element.producer] += 1
                }
                taken += batch.count
            }
            return next
        }
        await withTaskGroup(of: Void.self) { group in
            for producer in 0..<4 {
                group.addTask {
                    for value in 0..<10_000 { mailbox.put((producer, value)) }
                }
            }
        }
        #expect(await reader.value == [10_000, 10_000, 10_000, 10_000])
    }
}
