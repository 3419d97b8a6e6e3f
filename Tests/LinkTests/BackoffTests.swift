import Testing

@testable import Link

@Suite("Waiting before dialling again")
struct BackoffTests {
    @Test("Times double from 100 ms to 8 s, each between half and the whole", arguments: 1...10)
    func grows(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var backoff = Backoff()
        for milliseconds in [100, 200, 400, 800, 1600, 3200, 6400, 8000, 8000] {
            let time = backoff.next(using: &random)
            #expect(time >= .milliseconds(milliseconds / 2))
            #expect(time <= .milliseconds(milliseconds))
        }
        backoff.reset()
        #expect(backoff.next(using: &random) <= .milliseconds(100))
    }

    @Test("Two nodes do not come back in step")
    func jitter() {
        var first = SeededGenerator(seed: 1)
        var second = SeededGenerator(seed: 2)
        var one = Backoff()
        var two = Backoff()
        #expect(one.next(using: &first) != two.next(using: &second))
    }
}
