import Engine
import Fleet
import FrontDoor
import NIOCore
import Synchronization

/// Tells the front door how long its own containers ran.
final class Learner: Sendable {
    private let held = Mutex<FrontDoor?>(nil)

    var door: FrontDoor? {
        get { held.withLock { $0 } }
        set { held.withLock { $0 = newValue } }
    }

    func note(_ workload: Workload) {
        guard workload.state == .exited, workload.origin == workload.target, let door else { return }
        NodeLoop.shared.loop.execute { NodeLoop.assumeIsolated { door.learn(from: workload) } }
    }
}
