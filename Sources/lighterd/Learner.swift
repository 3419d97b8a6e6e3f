import Engine
import Fleet
import FrontDoor
import NIOCore
import Synchronization

/// Tells the front door what became of its own containers.
final class Learner: Sendable {
    private let held = Mutex<FrontDoor?>(nil)

    var door: FrontDoor? {
        get { held.withLock { $0 } }
        set { held.withLock { $0 = newValue } }
    }

    func note(_ workload: Workload) {
        guard [.exited, .removed].contains(workload.state), workload.origin == workload.target, let door else { return }
        NodeLoop.shared.loop.execute { NodeLoop.assumeIsolated { door.note(local: workload) } }
    }
}
