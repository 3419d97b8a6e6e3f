import Foundation
import Glibc

/// The other programs of this release, which are installed beside this one, and those of the system.
enum Programs {
    /// The path of `lighterd` or `lighter-gateway`: beside this program, else in `PATH`.
    static func sibling(_ name: String) throws -> String {
        if let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            let beside = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
            if FileManager.default.isExecutableFile(atPath: beside) { return beside }
        }
        if let found = inPath(name) { return found }
        throw CommandFailure("\(name) is neither beside lighter nor in PATH: install it with `make install`")
    }

    static func inPath(_ name: String) -> String? {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        return folders.map { "\($0)/\(name)" }.first(where: FileManager.default.isExecutableFile(atPath:))
    }

    /// Runs a program to its end: its standard output.
    ///
    /// - Throws: `CommandFailure` with the last line of its complaint when its exit code is not 0.
    @discardableResult
    static func run(_ path: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let output = Pipe()
        // Into a file, not a second pipe: nobody has to read two pipes at once.
        let complaints = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try Data().write(to: complaints)
        defer { try? FileManager.default.removeItem(at: complaints) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = try FileHandle(forWritingTo: complaints)
        let name = URL(fileURLWithPath: path).lastPathComponent
        do {
            try process.run()
        } catch {
            throw CommandFailure("cannot start \(path): \(error.localizedDescription)")
        }
        let said = String(decoding: (try output.fileHandleForReading.readToEnd()) ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let text = (try? String(contentsOf: complaints, encoding: .utf8)) ?? ""
            let last = text.split(whereSeparator: \.isNewline).last.map { $0.trimmed }
            throw CommandFailure("\(name): \(last ?? "exit status \(process.terminationStatus)")")
        }
        return said.trimmed
    }

    /// Becomes another program; returns only by throwing.
    static func become(_ path: String, _ arguments: [String]) throws -> Never {
        var pointers: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
        pointers.append(nil)
        // A pool's thread blocks signals, and what it becomes would never hear Ctrl-C.
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        execv(path, pointers)
        throw CommandFailure("cannot start \(path): \(String(cString: strerror(errno)))")
    }
}
