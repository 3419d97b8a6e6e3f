import Dispatch
import NIOCore
import NIOPosix
import Testing

@testable import Gateway

struct LoopLagTests {
    @Test("A loop that is held up is seen to be, until it is found free", .timeLimit(.minutes(1)))
    func heldUp() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let loops = Array(group.makeIterator())
        let lag = LoopLag(loops)
        #expect(lag.measure() == .zero)
        for loop in loops { try await loop.submit {}.get() }
        let gate = DispatchSemaphore(value: 0)
        loops[1].execute { gate.wait() }
        _ = lag.measure()
        while lag.measure() < .milliseconds(30) { await Task.yield() }
        gate.signal()
        for loop in loops { try await loop.submit {}.get() }
        #expect(lag.measure() >= .milliseconds(30))
        for loop in loops { try await loop.submit {}.get() }
        while lag.measure() >= .milliseconds(30) { await Task.yield() }
        try await group.shutdownGracefully()
    }
}
