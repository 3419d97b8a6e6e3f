import Fleet
import Synchronization

@testable import Agent

/// A machine in memory: files, a clock that the test turns, a disk.
final class FakeMeterFiles: MeterFiles {
    private struct State {
        var files: [String: String] = [:]
        var links: [String: String] = [:]
        var now: UInt64 = 1_000_000_000
        var disk: ByteCount? = .gibibytes(10)
        var processors = 2
    }

    private let state = Mutex(State())

    init(_ files: [String: String] = [:], links: [String: String] = [:], processors: Int = 2) {
        state.withLock {
            $0.files = files
            $0.links = links
            $0.processors = processors
        }
    }

    subscript(path: String) -> String? {
        get { state.withLock { $0.files[path] } }
        set { state.withLock { $0.files[path] = newValue } }
    }

    var disk: ByteCount? {
        get { state.withLock { $0.disk } }
        set { state.withLock { $0.disk = newValue } }
    }

    func turn(seconds: Double) { state.withLock { $0.now += UInt64(seconds * 1e9) } }

    func text(of path: String, limit: Int) -> String? { self[path].map { String($0.prefix(limit)) } }
    func resolved(_ path: String) -> String? { state.withLock { $0.links[path] } ?? path }
    func diskFree(at path: String) -> ByteCount? { disk }
    func monotonicNanoseconds() -> UInt64 { state.withLock { $0.now } }
    func onlineProcessors() -> Int { state.withLock { $0.processors } }
}
