import Link
import NIOCore
import Synchronization

/// Dials several addresses of one peer, a little after each other, and takes the first link that stands.
///
/// The next address is tried as soon as one fails, or after `stagger`; links that come late are closed.
final class LinkRace: Sendable {
    typealias Attempt = @Sendable (SocketAddress) -> EventLoopFuture<LinkConnection>

    private struct State {
        var waiting: ArraySlice<SocketAddress>
        var running = 0
        var isDecided = false
        var lastError: any Error = SessionError(.unavailable, "there is no address to dial")
    }

    private static let stagger = TimeAmount.milliseconds(250)

    private let state: Mutex<State>
    private let attempt: Attempt
    private let loop: any EventLoop
    private let winner: EventLoopPromise<LinkConnection>

    private init(_ addresses: [SocketAddress], on loop: any EventLoop, attempt: @escaping Attempt) {
        state = Mutex(State(waiting: addresses[...]))
        self.attempt = attempt
        self.loop = loop
        winner = loop.makePromise()
    }

    /// The first link that stands; fails with the last error when none does.
    static func run(
        _ addresses: [SocketAddress], on loop: any EventLoop, attempt: @escaping Attempt
    ) -> EventLoopFuture<LinkConnection> {
        let race = LinkRace(addresses, on: loop, attempt: attempt)
        race.startNext()
        return race.winner.futureResult
    }

    private enum Step { case dial(SocketAddress), giveUp(any Error), wait }

    private func startNext() {
        let step = state.withLock { state -> Step in
            guard !state.isDecided else { return .wait }
            if let address = state.waiting.popFirst() {
                state.running += 1
                return .dial(address)
            }
            guard state.running == 0 else { return .wait }
            state.isDecided = true
            return .giveUp(state.lastError)
        }
        switch step {
        case .wait: break
        case .giveUp(let error): winner.fail(error)
        case .dial(let address):
            let timer = loop.scheduleTask(in: Self.stagger) { self.startNext() }
            attempt(address).whenComplete { result in
                timer.cancel()
                self.finish(result)
            }
        }
    }

    private func finish(_ result: Result<LinkConnection, any Error>) {
        switch result {
        case .success(let link):
            let isFirst = state.withLock { state in
                defer { state.isDecided = true }
                return !state.isDecided
            }
            if isFirst { winner.succeed(link) } else { link.close(nil) }
        case .failure(let error):
            state.withLock { state in
                state.running -= 1
                state.lastError = error
            }
            startNext()
        }
    }
}
