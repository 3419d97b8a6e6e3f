import Testing

@testable import Mounts

@Suite("The pace at which changes are looked at")
struct PaceTests {
    private let start = ContinuousClock.now
    private let pace = Pace(debounce: .milliseconds(50))

    @Test("is quick after a quiet time, and leaves a while between two looks")
    func quietAndBusy() {
        #expect(pace.pause(start) == .milliseconds(10))
        pace.begin(start)
        pace.end(start + .milliseconds(1))
        #expect(pace.pause(start + .milliseconds(1)) == .milliseconds(50))
        #expect(pace.pause(start + .milliseconds(21)) == .milliseconds(30))
        #expect(pace.pause(start + .milliseconds(51)) == .milliseconds(10))
        #expect(pace.pause(start + .seconds(9)) == .milliseconds(10))
    }

    @Test("leaves four times as long as a look takes, also of one that is under way")
    func slowLook() {
        pace.begin(start)
        #expect(pace.pause(start + .milliseconds(5)) == .milliseconds(50))
        #expect(pace.pause(start + .milliseconds(100)) == .milliseconds(400))
        pace.end(start + .milliseconds(100))
        #expect(pace.pause(start + .milliseconds(100)) == .milliseconds(400))
        #expect(pace.pause(start + .milliseconds(400)) == .milliseconds(100))
        #expect(pace.pause(start + .milliseconds(600)) == .milliseconds(10))
    }
}
