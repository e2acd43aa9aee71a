import Testing

@testable import Core

@Suite struct DeadlineQueueTests {
    @Test func theEarliestComesFirstAndNotBeforeItsTime() {
        var queue = DeadlineQueue<String>()
        #expect(queue.earliest == nil && queue.take(now: at(99)) == nil)
        queue.add("late", at: at(9))
        queue.add("early", at: at(5))
        #expect(queue.earliest == at(5) && queue.count == 2)
        #expect(queue.take(now: at(4)) == nil)
        #expect(queue.take(now: at(5)) == "early")
        #expect(queue.take(now: at(5)) == nil)
        #expect(queue.take(now: at(100)) == "late")
        #expect(queue.count == 0 && queue.earliest == nil)
    }

    @Test func equalTimesKeepTheirOrder() {
        var queue = DeadlineQueue<Int>()
        for item in 0..<50 { queue.add(item, at: at(item % 2)) }
        var taken: [Int] = []
        while let item = queue.take(now: at(1)) { taken.append(item) }
        #expect(
            taken == Array(stride(from: 0, to: 50, by: 2)) + Array(stride(from: 1, to: 50, by: 2)))
    }

    @Test func itAgreesWithASortedArray() {
        for seed in seeds(50) {
            var random = SeededGenerator(seed: seed)
            var queue = DeadlineQueue<Int>()
            var model: [(at: Int, item: Int)] = []
            for item in 0..<200 {
                if random.chance(60) {
                    let time = Int.random(in: 0..<30, using: &random)
                    queue.add(item, at: at(time))
                    let index = model.firstIndex { $0.at > time } ?? model.count
                    model.insert((time, item), at: index)
                } else {
                    let now = Int.random(in: 0..<30, using: &random)
                    let expected = model.first.flatMap { $0.at <= now ? $0.item : nil }
                    if expected != nil { model.removeFirst() }
                    let taken = queue.take(now: at(now))
                    if taken != expected { report("\(item): took \(taken as Any)", seed: seed) }
                }
                if queue.earliest != model.first.map({ at($0.at) }) || queue.count != model.count {
                    report("\(item): earliest or count differ", seed: seed)
                }
            }
        }
    }

    @Test func anItemHasOneTimeAndTheLastOneCounts() {
        var queue = DeadlineQueue<String>()
        queue.add("a", at: at(5))
        queue.add("b", at: at(6))
        queue.add("a", at: at(9))
        #expect(queue.count == 2 && queue.earliest == at(6))
        queue.add("a", at: at(1))
        #expect(queue.take(now: at(9)) == "a" && queue.take(now: at(9)) == "b" && queue.count == 0)
    }

    @Test func whatIsRemovedNeverComes() {
        for seed in seeds(50) {
            var random = SeededGenerator(seed: seed)
            var queue = DeadlineQueue<Int>()
            var model: [Int: Int] = [:]
            for item in 0..<100 {
                let time = Int.random(in: 0..<50, using: &random)
                queue.add(item, at: at(time))
                model[item] = time
            }
            for item in 0..<100 where random.chance(50) {
                queue.remove(item)
                queue.remove(item)
                model[item] = nil
            }
            var taken: [Int] = []
            while let item = queue.take(now: at(50)) { taken.append(item) }
            let expected = model.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key)
            if taken != expected || queue.count != 0 { report("took \(taken)", seed: seed) }
        }
    }
}
