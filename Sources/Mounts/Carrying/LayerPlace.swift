internal import CFileAttributes
import Glibc
internal import NIOPosix

/// A container's writable layer, and a folder of the same file system in which it waits.
package enum LayerPlace {
    /// Puts all that a folder holds in another's place, and makes that what it is itself; it is empty then.
    ///
    /// Nothing is copied. What was ended in the middle may be done again where nothing is replaced.
    /// - Parameter replacing: whether what the other holds goes.
    package static func move(_ source: String, to target: String, replacing: Bool) async throws {
        try await NIOThreadPool.singleton.runIfActive {
            do throws(SystemFailure) {
                let (from, to) = (try OpenFolder.open(trusted: source), try OpenFolder.open(trusted: target))
                guard try from.descriptor.status().device == (try to.descriptor.status().device) else {
                    throw SystemFailure(EXDEV)
                }
                for name in replacing ? try to.names() : [] { try to.removeAll(name) }
                for name in try from.names() {
                    let result = withCString(name) {
                        renameat(from.descriptor.number, $0, to.descriptor.number, $0)
                    }
                    guard result == 0 else { throw .last }
                }
                try TreeCopyWork.makeAlike(to.descriptor, from.descriptor)
                guard syncfs(to.descriptor.number) == 0 else { throw .last }
            } catch {
                throw MountError(
                    .file,
                    error.code == EXDEV
                        ? "the engine's volumes and its containers' layers are on different file systems"
                        : "a layer cannot be put into place: \(error)")
            }
        }
    }
}

extension TreeCopyWork {
    fileprivate static func makeAlike(_ file: Descriptor, _ other: Descriptor) throws(SystemFailure) {
        var status = stat()
        guard fstat(other.number, &status) == 0 else { throw .last }
        let extended: [TreeStep.ExtendedAttribute]
        do throws(MountError) { extended = try TreeStep.ExtendedAttribute.all(of: other, isLayer: true) } catch {
            throw SystemFailure(ENOTSUP)
        }
        try apply(TreeStep.Attributes(status, extended), to: file)
    }
}
