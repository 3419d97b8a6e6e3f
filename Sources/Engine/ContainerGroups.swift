import Glibc

/// Ends the processes of containers by their control groups, without a word to any engine.
///
/// An engine's runtime puts a container's first process into a group that bears the container's id before it makes the
/// container's mounts, and all that the container starts stays in it. Groups are looked for each time: what was started in
/// between is found too, and nothing has to be known of it before.
package struct ContainerGroups: Sendable {
    package enum Outcome: Sendable, Hashable {
        /// No process of it is left.
        case gone
        /// Some do not end, or not yet.
        case remains
    }

    /// What was found of one container.
    package struct Finding: Sendable, Hashable {
        package var outcome: Outcome
        /// Whether there was a process to be ended.
        package var ran: Bool

        package init(outcome: Outcome, ran: Bool) {
            self.outcome = outcome
            self.ran = ran
        }
    }

    private struct Hierarchy {
        var folder: String
        var isUnified: Bool
    }

    /// Deeper ones are of what containers made themselves.
    private static let depth = 12
    /// Controllers of version 1 that may show where a container is; the first can also hold its processes still.
    private static let telling = ["freezer", "devices", "pids", "memory", "cpu", "name=systemd"]

    private let hierarchies: [Hierarchy]

    /// - Parameter mounts: the text of `/proc/mounts`.
    package init(mounts: String) {
        var unified: [Hierarchy] = []
        var controlled: [String: String] = [:]
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count >= 4 else { continue }
            let folder = String(fields[1])
            if fields[2] == "cgroup2" { unified.append(Hierarchy(folder: folder, isUnified: true)) }
            guard fields[2] == "cgroup" else { continue }
            for option in fields[3].split(separator: ",") where controlled[String(option)] == nil {
                controlled[String(option)] = folder
            }
        }
        let telling = Self.telling.lazy.compactMap { controlled[$0] }.first
        hierarchies = unified + (telling.map { [Hierarchy(folder: $0, isUnified: false)] } ?? [])
    }

    /// Those of this machine.
    package static var here: ContainerGroups {
        ContainerGroups(mounts: Pidfd.text("/proc/self/mounts", limit: 1 << 20) ?? "")
    }

    /// Whether there is a hierarchy in which this process may end others.
    package var isUsable: Bool {
        hierarchies.contains { access("\($0.folder)/cgroup.procs", W_OK) == 0 }
    }

    /// How it is done, for a person; nil where it cannot be.
    package var described: String? {
        guard let usable = hierarchies.first(where: { access("\($0.folder)/cgroup.procs", W_OK) == 0 }) else {
            return nil
        }
        return usable.isUnified ? "cgroups, version 2" : "cgroups, version 1"
    }

    /// Kills every process of these containers, paused ones too.
    ///
    /// Repeat it until nothing remains: a process that is being made may be missed by one look, and one that waits for a disk
    /// ends only behind that.
    package func kill(_ containers: Set<String>) -> [String: Finding] {
        var findings: [String: Finding] = [:]
        for id in containers { findings[id] = Finding(outcome: .gone, ran: false) }
        for hierarchy in hierarchies {
            for (folder, id) in find(containers, in: hierarchy) {
                let killed = hierarchy.isUnified ? endUnified(folder) : end(folder)
                guard killed > 0 else { continue }
                findings[id] = Finding(outcome: .remains, ran: true)
            }
        }
        return findings
    }

    // MARK: - Looking

    private func find(_ containers: Set<String>, in hierarchy: Hierarchy) -> [(folder: String, id: String)] {
        var found: [(String, String)] = []
        walk(hierarchy.folder, Self.depth) { folder, name in
            guard let id = Self.container(ofName: name), containers.contains(id) else { return true }
            found.append((folder, id))
            return false
        }
        return found
    }

    /// The container whose control group, or group within it, has this path; nil for none.
    static func container(ofPath path: some StringProtocol) -> String? {
        for name in path.split(separator: "/").reversed() {
            if let id = container(ofName: name) { return id }
        }
        return nil
    }

    /// - Parameter text: of `/proc/PID/cgroup`.
    static func container(ofProcessGroups text: String) -> String? {
        for line in text.split(separator: "\n") {
            if let id = container(ofPath: line) { return id }
        }
        return nil
    }

    private static func container(ofName name: some StringProtocol) -> String? {
        // A monitor of Podman's has the id in its group's name, too, and tells Podman of the end.
        guard name.utf8.count >= 64, !name.contains("conmon") else { return nil }
        var run: [UInt8] = []
        for byte in name.utf8 {
            if (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) {
                run.append(byte)
            } else if run.count < 64 {
                run = []
            } else {
                break
            }
        }
        return run.count >= 64 ? String(decoding: run.suffix(64), as: UTF8.self) : nil
    }

    /// Every folder below, until `enters` says not to go into one.
    private func walk(_ folder: String, _ depth: Int, _ enters: (_ folder: String, _ name: String) -> Bool) {
        guard depth > 0, let directory = opendir(folder) else { return }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            guard entry.pointee.d_type == DT_DIR else { continue }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            let path = "\(folder)/\(name)"
            if enters(path, name) { walk(path, depth - 1, enters) }
        }
    }

    // MARK: - Killing

    /// - Returns: how many processes there were.
    private func endUnified(_ folder: String) -> Int {
        let count = processes(below: folder).count
        // Frozen ones are woken by it. Before Linux 5.14 there is no such file.
        guard count > 0, !write("1", to: "\(folder)/cgroup.kill") else { return count }
        return end(folder)
    }

    private func end(_ folder: String) -> Int {
        let pids = processes(below: folder)
        for pid in pids { _ = Glibc.kill(pid, SIGKILL) }
        guard !pids.isEmpty else { return 0 }
        // Who is held still dies when it is let go; above, as it was held, and below, as it may have held itself.
        thaw(folder)
        walk(folder, Self.depth) { folder, _ in
            thaw(folder)
            return true
        }
        return pids.count
    }

    private func thaw(_ folder: String) {
        _ = write("THAWED", to: "\(folder)/freezer.state")
    }

    private func processes(below folder: String) -> [Int32] {
        var pids = processes(in: folder)
        walk(folder, Self.depth) { folder, _ in
            pids += processes(in: folder)
            return true
        }
        return pids
    }

    /// Those of other PID namespaces are shown as 0, which would mean this process's own group.
    private func processes(in folder: String) -> [Int32] {
        let text = Pidfd.text("\(folder)/cgroup.procs", limit: 1 << 20) ?? ""
        return text.split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 1 && $0 != getpid() }
    }

    private func write(_ text: String, to path: String) -> Bool {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return Glibc.write(file, text, text.utf8.count) == text.utf8.count
    }
}
