import Foundation
import Glibc

/// A program that goes on when this one ends: in a session of its own, known by its pid file, its words in a log.
struct BackgroundProcess {
    let name: String
    /// `PID BORN`: when it was born (clock ticks since boot) tells it from a later process with the same pid.
    let pidFile: String
    let log: String

    /// glibc's `POSIX_SPAWN_SETSID`, which is declared for `_GNU_SOURCE` only.
    private static let newSession: Int16 = 0x80

    /// The pid, while it is alive.
    var pid: pid_t? {
        guard let text = try? String(contentsOfFile: pidFile, encoding: .utf8) else { return nil }
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let pid = pid_t(words[0]), Self.birth(of: pid) == String(words[1]) else { return nil }
        return pid
    }

    /// Runs exactly `command`: what runs with another one, or from a file that was replaced, is started anew.
    ///
    /// - Returns: whether it had to be started.
    func ensure(_ command: [String]) async throws -> Bool {
        let record = pidFile + ".command"
        let wanted = command.joined(separator: "\n")
        let isCurrent = pid.map { pid in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")) == command[0]
        }
        if isCurrent == true, (try? String(contentsOfFile: record, encoding: .utf8)) == wanted { return false }
        try await stop()
        try start(command)
        try wanted.write(toFile: record, atomically: true, encoding: .utf8)
        return true
    }

    /// Starts `command`, an absolute path and its arguments.
    ///
    /// - Throws: `CommandFailure` when it cannot be started.
    func start(_ command: [String]) throws {
        let pid = try spawn(command)
        guard let born = Self.birth(of: pid) else {
            throw CommandFailure("\(name) ended at once: \(lastWords)")
        }
        do {
            try "\(pid) \(born)\n".write(toFile: pidFile, atomically: true, encoding: .utf8)
        } catch {
            kill(pid, SIGTERM)
            throw CommandFailure("cannot write \(pidFile): \(error.localizedDescription)")
        }
    }

    /// Asks it to end and waits for that; after ten seconds it is killed. Does nothing when it does not run.
    func stop() async throws {
        guard let pid else { return }
        kill(pid, SIGTERM)
        for attempt in 0..<220 where self.pid != nil {
            if attempt == 200 { kill(pid, SIGKILL) }
            try await Task.sleep(for: .milliseconds(50))
        }
        guard self.pid == nil else { throw CommandFailure("\(name) (pid \(pid)) does not end") }
        try? FileManager.default.removeItem(atPath: pidFile)
    }

    /// The last line of the log.
    var lastWords: String {
        guard let handle = FileHandle(forReadingAtPath: log) else { return "nothing in its log" }
        defer { try? handle.close() }
        let size = (try? handle.seekToEnd()) ?? 0
        try? handle.seek(toOffset: size > 4096 ? size - 4096 : 0)
        let text = String(decoding: (try? handle.readToEnd()) ?? Data(), as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).last.map { $0.trimmed } ?? "nothing in its log"
    }

    /// When a process was born, as /proc tells it; nil when it is gone or a zombie.
    private static func birth(of pid: pid_t) -> String? {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return String(fields[19])
    }

    private func spawn(_ command: [String]) throws -> pid_t {
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&files, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Signals as at boot: what this process ignores or blocks, a daemon must still end by.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        let flags = Self.newSession | Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF)
        posix_spawnattr_setflags(&attributes, flags)
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        arguments.append(nil)
        defer { arguments.forEach { free($0) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, command[0], &files, &attributes, arguments, environ)
        guard status == 0 else {
            throw CommandFailure("cannot start \(command[0]): \(String(cString: strerror(status)))")
        }
        return pid
    }
}
