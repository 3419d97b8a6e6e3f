import ArgumentParser
import DockerAPI
import Engine
import Fleet
import Foundation

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says what works on this machine: event sources, engine, gateway, clock, disk.",
        discussion: "Exit code 0 where nothing has failed; what works another way, only slower, is a note.")

    @OptionGroup var door: FrontDoorOptions
    @OptionGroup var output: FormatOption

    @Option(help: "This device's engine, unix:///PATH or none (default: that of its lighterd, LIGHTER_ENGINE).")
    var engine: String?

    func run() async throws {
        let node = await Self.node(door)
        let address = Self.engineAddress(
            engine, node: try? node.get(), configured: ProcessInfo.processInfo.environment["LIGHTER_ENGINE"])
        let sources = (try? node.get())?["Sources"]
        var checks = [
            Check.source(.pidfd, sources) ?? Check.exits(errorNumber: ExitWatch.probe()),
            Check.source(.cgroup, sources) ?? Check.memory(.here),
            Check.fencing(ContainerGroups.here.described),
            Check.source(.ebpf, sources) ?? Check.eBPF(StartWatch.probe()),
        ]
        var folders = [Installation.known.map(\.state).first(where: FileManager.default.fileExists(atPath:)) ?? "/"]
        if address == "none" {
            checks.append(Check(.engine, .note, "this device has none"))
        } else {
            let answer = await Self.identity(address.hasPrefix("unix://") ? String(address.dropFirst(7)) : address)
            checks.append(Check.engine(address, answer))
            if case .success(let identity) = answer, !identity.dataRoot.isEmpty { folders.append(identity.dataRoot) }
        }
        switch node {
        case .success(let said): checks += Check.node(said)
        case .failure(let failure): checks.append(Check(.gateway, .failed, failure.description))
        }
        checks += folders.map { Check.disk($0, free: Self.free($0)) }
        let found = checks
        try output.format.show(found) { Check.table(found) }
        if found.contains(where: { $0.result == .failed }) { throw ExitCode(1) }
    }

    /// The engine that is asked for; else that of the daemon, by its own word.
    static func engineAddress(_ asked: String?, node: JSON?, configured: String?) -> String {
        asked ?? node?["Engine"]?.stringValue ?? configured ?? "unix:///var/run/docker.sock"
    }

    private static func node(_ door: FrontDoorOptions) async -> Result<JSON, CommandFailure> {
        do { return .success(try await door.ask("/lighter/node").first ?? .null) } catch {
            return .failure(CommandFailure(error))
        }
    }

    @NodeLoop
    private static func identity(_ path: String) async -> Result<EngineIdentity, EngineError> {
        do throws(EngineError) {
            return .success(
                try await EngineIdentity.read(DockerClient(dialer: UnixDialer(path: path)), timeout: .seconds(5)))
        } catch {
            return .failure(error)
        }
    }

    private static func free(_ folder: String) -> ByteCount? {
        var found = statvfs()
        guard statvfs(folder, &found) == 0 else { return nil }
        return ByteCount(
            Int64(clamping: UInt64(found.f_bavail).multipliedReportingOverflow(by: UInt64(found.f_frsize)).partialValue)
        )
    }
}

/// One line of `lighter doctor`; names here are a promise to scripts.
struct Check: Encodable, Hashable {
    enum Subject: String, Encodable {
        case exits, memory, fencing, eBPF = "ebpf", engine, gateway, clock, disk
    }

    enum Result: String, Encodable {
        case ok, note, failed
    }

    /// More than this, and tickets are refused.
    private static let clockLimit = 60.0
    private static let diskLimit = ByteCount.gibibytes(1)

    let check: Subject
    let result: Result
    let detail: String

    init(_ check: Subject, _ result: Result, _ detail: String) {
        self.check = check
        self.result = result
        self.detail = detail
    }

    static func exits(errorNumber: Int32) -> Check {
        errorNumber == 0
            ? Check(.exits, .ok, "pidfds work: ends are told by the kernel")
            : Check(
                .exits, .note,
                "no pidfds (\(String(cString: strerror(errorNumber)))): ends are told by the engine, later; Linux 5.3 has them"
            )
    }

    static func memory(_ hierarchy: MemoryHierarchy) -> Check {
        switch hierarchy {
        case .events(let version):
            Check(.memory, .ok, "kills for want of memory are told by cgroups, version \(version)")
        case .hidden(let version):
            Check(
                .memory, .note,
                "the events of cgroups, version \(version), are not this user's to read: kills are told by the engine")
        case .missing: Check(.memory, .note, "no memory controller is mounted: kills are told by the engine")
        }
    }

    /// What this process itself may do; the daemon may run as another user.
    static func eBPF(_ refusal: KernelRefusal?) -> Check {
        refusal.map { Check(.eBPF, .note, "starts are told by the engine, later: \($0)") }
            ?? Check(.eBPF, .ok, "starts are told by the kernel")
    }

    /// What the daemon's configuration, or its own trial, decides; nil where that leaves open whether it works.
    /// - Parameter sources: as its front door lists them.
    static func source(_ source: KernelSource, _ sources: JSON?) -> Check? {
        let said = sources?.arrayValue?.first { $0["Source"]?.stringValue == source.rawValue }
        let subject: Subject =
            switch source {
            case .pidfd: .exits
            case .cgroup: .memory
            case .ebpf: .eBPF
            }
        switch said?["State"]?.stringValue {
        case "off": return Check(subject, .note, "told by the engine, later: switched off by event_sources")
        case "refused" where source == .ebpf:
            return Check(
                subject, .note, "starts are told by the engine, later: \(said?["Reason"]?.stringValue ?? "refused")")
        case "used" where source == .ebpf:
            return Check(subject, .ok, "starts are told by the kernel: \(said?["Told"]?.intValue ?? 0) so far")
        default: return nil
        }
    }

    /// - Parameter way: how processes of containers can be ended without their engine.
    static func fencing(_ way: String?) -> Check {
        way.map { Check(.fencing, .ok, "exclusive containers can be stopped without their engine, by \($0)") }
            ?? Check(
                .fencing, .note,
                "no control groups that this user may write: exclusive containers are stopped by their engine alone")
    }

    static func engine(_ address: String, _ answer: Swift.Result<EngineIdentity, EngineError>) -> Check {
        switch answer {
        case .success(let identity):
            Check(.engine, .ok, "\(address), version \(identity.version), API \(identity.apiVersion)")
        case .failure(let error): Check(.engine, .failed, "\(address): \(CommandFailure(error).description)")
        }
    }

    /// What the front door says of its gateway.
    static func node(_ json: JSON) -> [Check] {
        let name = json["Node"]?.stringValue ?? "?"
        guard json["IsConnected"]?.boolValue == true else {
            return [Check(.gateway, .failed, "node \(name) is not connected to its gateway; see its log")]
        }
        let gateway = Check(.gateway, .ok, "node \(name) is connected")
        guard let lead = json["ClockLead"]?.doubleValue else {
            return [gateway, Check(.clock, .note, "the gateway has not told its time")]
        }
        let seconds = lead.magnitude.short
        let text = "\(seconds) s \(lead >= 0 ? "ahead of" : "behind") the gateway's when the session began"
        guard lead.magnitude < clockLimit else {
            return [gateway, Check(.clock, .failed, "\(text): tickets are refused; set both by NTP")]
        }
        return [gateway, Check(.clock, .ok, text)]
    }

    static func disk(_ folder: String, free: ByteCount?) -> Check {
        guard let free else { return Check(.disk, .note, "\(folder) cannot be looked at") }
        return Check(
            .disk, free < diskLimit ? .failed : .ok,
            "\(free) free at \(folder)\(free < diskLimit ? ": make room, no work is taken without" : "")")
    }

    static func table(_ checks: [Check]) -> String {
        var table = Table("CHECK", "RESULT", "DETAIL")
        for check in checks { table.add(check.check.rawValue, check.result.rawValue, check.detail) }
        return table.text
    }
}
