import Foundation
import Testing

@testable import Engine

/// Processes in real control groups, named as an engine's runtime names a container's.
@Suite("Containers that are ended by their control groups", .timeLimit(.minutes(1)))
struct ContainerGroupsTests {
    /// Version 2 needs no controllers for it; of version 1 the freezer can hold processes still.
    private static let hierarchies = (Pidfd.text("/proc/self/mounts", limit: 1 << 20) ?? "").split(separator: "\n")
        .filter { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 4, access("\(fields[1])/cgroup.procs", W_OK) == 0 else { return false }
            return fields[2] == "cgroup2"
                || fields[2] == "cgroup" && fields[3].split(separator: ",").contains("freezer")
        }
        .map(String.init)

    private static func write(_ text: String, _ path: String) throws {
        try text.write(to: URL(filePath: path), atomically: false, encoding: .utf8)
    }

    @Test(
        "Every process of a container ends, in groups of its own and held still, and no other's",
        .enabled(if: getuid() == 0),
        arguments: hierarchies)
    func kills(mount: String) throws {
        let fields = mount.split(separator: " ")
        let isUnified = fields[2] == "cgroup2"
        let id = String((0..<64).map { _ in "0123456789abcdef".randomElement() ?? "0" })
        let above = "\(fields[1])/lighter-test-\(getpid())"
        let groups = ["\(above)/docker-\(id).scope/inner", "\(above)/docker-\(id).scope/other", "\(above)/beside"]
        for group in groups {
            try FileManager.default.createDirectory(atPath: group, withIntermediateDirectories: true)
        }
        let processes = try groups.map { group in
            let process = Process()
            process.executableURL = URL(filePath: "/bin/sleep")
            process.arguments = ["60"]
            try process.run()
            try Self.write("\(process.processIdentifier)", "\(group)/cgroup.procs")
            return process
        }
        defer {
            for process in processes where process.isRunning { kill(process.processIdentifier, SIGKILL) }
            for process in processes { process.waitUntilExit() }
            for group in groups + ["\(above)/docker-\(id).scope", above] { rmdir(group) }
        }
        let held = "\(above)/docker-\(id).scope"
        try Self.write(isUnified ? "1" : "FROZEN", "\(held)/\(isUnified ? "cgroup.freeze" : "freezer.state")")

        let machine = ContainerGroups(mounts: mount)
        #expect(machine.described == (isUnified ? "cgroups, version 2" : "cgroups, version 1"))
        let stranger = String(id.reversed())
        #expect(machine.kill([id, stranger])[id] == .init(outcome: .remains, ran: true))
        for process in processes.prefix(2) {
            process.waitUntilExit()
            #expect(process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL)
        }
        #expect(
            machine.kill([id, stranger]) == [
                id: .init(outcome: .gone, ran: false), stranger: .init(outcome: .gone, ran: false),
            ])
        #expect(processes[2].isRunning)
    }
}
