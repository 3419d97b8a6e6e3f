import Glibc

/// SIGTERM and SIGINT, taken by a thread of their own, as a sequence; the second of them ends the process at once.
struct TerminationSignals: Sendable {
    private let received: AsyncStream<Int32>

    /// Call it before any other thread is made: they inherit that these signals are blocked.
    init() {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        let (stream, inlet) = AsyncStream<Int32>.makeStream()
        received = stream
        let box = Unmanaged.passRetained(Inlet(inlet))
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let inlet = Unmanaged<Inlet>.fromOpaque(argument).takeRetainedValue()
                var set = sigset_t()
                sigemptyset(&set)
                sigaddset(&set, SIGTERM)
                sigaddset(&set, SIGINT)
                var signal: Int32 = 0
                sigwait(&set, &signal)
                inlet.continuation.yield(signal)
                sigwait(&set, &signal)
                _exit(128 + signal)
            }, box.toOpaque())
        pthread_detach(thread)
    }

    /// Returns at the first of them.
    func wait() async {
        for await _ in received { return }
    }

    private final class Inlet: Sendable {
        let continuation: AsyncStream<Int32>.Continuation
        init(_ continuation: AsyncStream<Int32>.Continuation) { self.continuation = continuation }
    }
}
