import Engine
import Glibc
import NIOCore
import NIOPosix

/// Which exclusive containers run as far as the fleet knows: what is started again when the node may run it again.
///
/// Kept in a file, so that a machine whose power went knows what ran; where that cannot be written, until the daemon's restart.
@NodeLoop
final class RunningWork {
    private let path: String?
    private(set) var containers: Set<String> = []
    private var isSaving = false
    /// Whether the file that is being written lacks something.
    private var isStale = false

    init(path: String?) {
        self.path = path
        guard let path, let text = TextFile.read(path) else { return }
        containers = Set(text.split(separator: "\n").map(String.init).filter { $0.utf8.count == 64 })
    }

    func contains(_ container: String) -> Bool { containers.contains(container) }

    func insert(_ container: String) {
        if containers.insert(container).inserted { save() }
    }

    func remove(_ container: String) {
        if containers.remove(container) != nil { save() }
    }

    /// Beside the loop, as a disk may take its time; what comes meanwhile is saved behind it.
    private func save() {
        guard let path else { return }
        guard !isSaving else {
            isStale = true
            return
        }
        isSaving = true
        isStale = false
        let text = containers.map { "\($0)\n" }.joined()
        NIOThreadPool.singleton.submit { [self] _ in
            let fresh = "\(path).new"
            if TextFile.append(text, to: fresh, truncating: true, durably: true) { rename(fresh, path) }
            NodeLoop.shared.loop.execute {
                NodeLoop.assumeIsolated {
                    self.isSaving = false
                    if self.isStale { self.save() }
                }
            }
        }
    }
}
