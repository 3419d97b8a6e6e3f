import DockerAPI
import Engine
import Fleet
import Testing

@testable import lighter

@Suite("lighter doctor")
struct DoctorTests {
    @Test("What works another way is a note, and only what does not work has failed")
    func results() {
        #expect(Check.exits(errorNumber: 0).result == .ok)
        #expect(Check.exits(errorNumber: 38).result == .note)
        #expect(Check.memory(.events(version: 2)).detail.hasSuffix("version 2"))
        #expect(Check.memory(.hidden(version: 1)).result == .note)
        #expect(Check.memory(.missing).result == .note)
        let identity = EngineIdentity(version: ["Version": "28.2", "ApiVersion": "1.50"], info: [:])
        #expect(Check.engine("unix:///x", .success(identity)).detail == "unix:///x, version 28.2, API 1.50")
        let gone = EngineError(.unreachable, "nobody\nlistens")
        #expect(Check.engine("unix:///x", .failure(gone)).result == .failed)
        #expect(!Check.engine("unix:///x", .failure(gone)).detail.contains("\n"))
        #expect(Check.disk("/", free: .gibibytes(2)).result == .ok)
        #expect(Check.disk("/", free: .mebibytes(2)).result == .failed)
        #expect(Check.disk("/", free: nil).result == .note)
    }

    @Test("The engine is the one that is asked for, else the daemon's, else the configured one")
    func engine() {
        let node: JSON = ["Node": "a", "Engine": "unix:///run/other.sock"]
        #expect(Doctor.engineAddress("none", node: node, configured: "unix:///c") == "none")
        #expect(Doctor.engineAddress(nil, node: node, configured: "unix:///c") == "unix:///run/other.sock")
        #expect(Doctor.engineAddress(nil, node: ["Node": "a"], configured: "unix:///c") == "unix:///c")
        #expect(Doctor.engineAddress(nil, node: nil, configured: nil) == "unix:///var/run/docker.sock")
    }

    @Test(
        "The clock is judged where the gateway has told its time, and the gateway where it is connected",
        arguments: [
            (["Node": "a", "IsConnected": true, "ClockLead": .number("0.25")], [.ok, .ok]),
            (["Node": "a", "IsConnected": true, "ClockLead": .number("-61.5")], [.ok, .failed]),
            (["Node": "a", "IsConnected": true, "ClockLead": .null], [.ok, .note]),
            (["Node": "a", "IsConnected": false, "ClockLead": 0], [.failed]), ([:], [.failed]),
        ] as [(JSON, [Check.Result])])
    func node(json: JSON, results: [Check.Result]) {
        #expect(Check.node(json).map(\.result) == results)
    }

    @Test(
        "Who tells of containers' changes is what the daemon says, where it does",
        arguments: [
            (.ebpf, "used", .ok, "starts are told by the kernel: 3 so far"),
            (.ebpf, "refused", .note, "starts are told by the engine, later: why"), (.ebpf, "trying", nil, nil),
            (.ebpf, "off", .note, "told by the engine, later: switched off by event_sources"),
            (.pidfd, "off", .note, "told by the engine, later: switched off by event_sources"),
            (.pidfd, "used", nil, nil),
        ] as [(KernelSource, String, Check.Result?, String?)])
    func sources(source: KernelSource, state: String, result: Check.Result?, detail: String?) {
        let said: JSON = [
            ["Source": .string(source.rawValue), "State": .string(state), "Reason": "why", "Told": 3]
        ]
        let check = Check.source(source, said)
        #expect(check?.result == result)
        #expect(check?.detail == detail)
        #expect(Check.source(source, nil) == nil)
        #expect(Check.source(source, []) == nil)
    }

    @Test(
        "A container whose code nobody has told is ending, not one that ended well; a kill for want of memory is shown")
    func endings() throws {
        let node = try NodeID("a")
        var workload = Workload(
            id: .random(), tenant: .main, origin: node, target: node, state: .exited,
            version: Version(epoch: 1, sequence: 1))
        #expect(workload.shownState == "ending")
        workload.exitCode = 0
        #expect(workload.shownState == "exited (0)")
        workload.exitCode = 137
        workload.error = "killed: out of memory"
        #expect(workload.shownState == "exited (137), killed: out of memory")
    }
}
