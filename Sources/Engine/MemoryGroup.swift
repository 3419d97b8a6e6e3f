import Glibc

/// The memory control group of a container, of either version: the kernel tells there when it has to kill.
package struct MemoryGroup: Sendable, Hashable {
    /// Where its files are.
    package let folder: String
    /// Version 2, where it shares its folder with all controllers.
    package let isUnified: Bool

    package init(folder: String, isUnified: Bool) {
        self.folder = folder
        self.isUnified = isUnified
    }

    /// The file that counts what was killed in it for want of memory.
    package var countFile: String { "\(folder)/\(isUnified ? "memory.events" : "memory.oom_control")" }

    /// How many processes were killed, by what `countFile` holds; nil where it does not say, as before Linux 4.13.
    package static func kills(_ text: String) -> UInt64? {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2, fields[0] == "oom_kill" { return UInt64(fields[1]) }
        }
        return nil
    }

    /// Opens what `poll` can wait for; nil where the group, or the right to it, is missing.
    func open() -> MemoryEvents? {
        let counter = Glibc.open(countFile, O_RDONLY | O_CLOEXEC)
        guard counter >= 0 else { return nil }
        guard let kills = MemoryEvents.kills(counter) else {
            close(counter)
            return nil
        }
        if isUnified { return MemoryEvents(counter: counter, signal: nil, kills: kills) }
        let signal = MemoryEvents.newSignal()
        guard signal >= 0 else {
            close(counter)
            return nil
        }
        guard subscribe(signal, counter) else {
            close(counter)
            close(signal)
            return nil
        }
        return MemoryEvents(counter: counter, signal: signal, kills: kills)
    }

    private func subscribe(_ signal: Int32, _ counter: Int32) -> Bool {
        let control = Glibc.open("\(folder)/cgroup.event_control", O_WRONLY | O_CLOEXEC)
        guard control >= 0 else { return false }
        defer { close(control) }
        let text = Array("\(signal) \(counter)".utf8)
        return write(control, text, text.count) == text.count
    }
}

/// What this machine's control groups can tell of memory.
package enum MemoryHierarchy: Sendable, Hashable {
    /// Of which version they are.
    case events(version: Int)
    /// They are there, but not for this user.
    case hidden(version: Int)
    case missing

    /// Of this machine, where systems mount it.
    package static var here: MemoryHierarchy { at("/sys/fs/cgroup") }

    static func at(_ root: String) -> MemoryHierarchy {
        if access("\(root)/memory/cgroup.event_control", F_OK) == 0 {
            let isOurs =
                access("\(root)/memory/cgroup.event_control", W_OK) == 0
                && access("\(root)/memory/memory.oom_control", R_OK) == 0
            return isOurs ? .events(version: 1) : .hidden(version: 1)
        }
        guard let controllers = Pidfd.text("\(root)/cgroup.controllers") else { return .missing }
        guard controllers.split(whereSeparator: \.isWhitespace).contains("memory") else { return .missing }
        // Anybody may read a group's events in version 2.
        return .events(version: 2)
    }
}

/// Open descriptors of a memory group's events; whoever holds it closes it.
struct MemoryEvents {
    private let counter: Int32
    /// An eventfd for version 1; version 2 signals by the counter itself.
    private let signal: Int32?
    private var kills: UInt64

    fileprivate init(counter: Int32, signal: Int32?, kills: UInt64) {
        self.counter = counter
        self.signal = signal
        self.kills = kills
    }

    /// What to wait for.
    var polled: pollfd {
        signal.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            ?? pollfd(fd: counter, events: Int16(POLLPRI), revents: 0)
    }

    enum News: Equatable {
        case none, killed
        /// The group is gone; nothing more will come.
        case over
    }

    /// Takes what was signalled. In version 1 that is done before anything is killed: it is worth a second look.
    mutating func take() -> News {
        if let signal {
            var count: UInt64 = 0
            _ = read(signal, &count, MemoryLayout<UInt64>.size)
        }
        guard let now = Self.kills(counter) else { return .over }
        defer { kills = now }
        return now > kills ? .killed : .none
    }

    func closeAll() {
        close(counter)
        if let signal { close(signal) }
    }

    private typealias EventDescriptor = @convention(c) (UInt32, Int32) -> Int32

    /// `eventfd`, which the module of the C library leaves out.
    private static let eventDescriptor: EventDescriptor? =
        dlsym(nil, "eventfd").map { unsafeBitCast($0, to: EventDescriptor.self) }

    fileprivate static func newSignal() -> Int32 { eventDescriptor.map { $0(0, O_CLOEXEC | O_NONBLOCK) } ?? -1 }

    fileprivate static func kills(_ counter: Int32) -> UInt64? {
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = pread(counter, &bytes, bytes.count, 0)
        return count > 0 ? MemoryGroup.kills(String(decoding: bytes.prefix(count), as: UTF8.self)) : nil
    }
}
