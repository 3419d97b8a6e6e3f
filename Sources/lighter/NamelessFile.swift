import Foundation
import Glibc

/// A file that is there for this process and what it becomes, and gone with it: nobody has to remove it.
struct NamelessFile {
    private let descriptor: Int32

    /// Stays open in the program that this one becomes, and in what that starts.
    init(_ content: Data) throws {
        var name = Array((FileManager.default.temporaryDirectory.path + "/lighter-XXXXXX").utf8CString)
        descriptor = mkstemp(&name)
        guard descriptor >= 0 else { throw Self.failure }
        unlink(name)
        do {
            try FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).write(contentsOf: content)
        } catch {
            throw CommandFailure("cannot write a temporary file: \(error.localizedDescription)")
        }
        guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw Self.failure }
    }

    /// Opens it from its beginning, each time.
    var path: String { "/proc/self/fd/\(descriptor)" }

    func becomeInput() throws {
        guard dup2(descriptor, STDIN_FILENO) == STDIN_FILENO else { throw Self.failure }
    }

    private static var failure: CommandFailure {
        CommandFailure("cannot make a temporary file: \(String(cString: strerror(errno)))")
    }
}
