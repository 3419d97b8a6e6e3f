import FrontDoor
import Agent
import Engine
import NIOCore
import Session
import Synchronization
import Trust

/// Hands streams that peers open to the guard, and what is said of leases to their keeper; there are none yet when the session is
/// made.
final class GuardEntrance: Sendable {
    private let held = Mutex<Guard?>(nil)
    private let keeping = Mutex<LeaseKeeper?>(nil)
    private let front = Mutex<FrontDoor?>(nil)

    var keeper: LeaseKeeper? {
        get { keeping.withLock { $0 } }
        set { keeping.withLock { $0 = newValue } }
    }

    var door: FrontDoor? {
        get { front.withLock { $0 } }
        set { front.withLock { $0 = newValue } }
    }

    var desk: Guard? {
        get { held.withLock { $0 } }
        set { held.withLock { $0 = newValue } }
    }

    var handler: PeerStreamHandler {
        { [self] stream, kind, peer in
            guard let desk else { return stream.close() }
            return desk.accept(stream: stream, kind: kind, peer: peer)
        }
    }
}
