import Dispatch
import Foundation
import Glibc
import Session
import Trust

/// A gateway with a fleet of its own, which is gone with its folder when the simulation ends.
struct ScratchGateway {
    private let folder: String
    private let process: BackgroundProcess
    let address: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/lighter-simulation-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        process = BackgroundProcess(name: "lighter-gateway", pidFile: folder + "/pid", log: folder + "/log")
        address = "127.0.0.1:\(try Self.freePort())"
    }

    private var data: String { folder + "/data" }
    var authorityFolder: String { data + "/authority" }
    var pid: Int32? { process.pid }

    /// Starts it and waits until it answers.
    func start(heartbeat: Lifetime) async throws {
        let program = try Programs.sibling("lighter-gateway")
        try Programs.run(program, ["init", "--data", data, "--fleet", "simulation"])
        try process.start([
            program, "--data", data, "--listen", address, "--heartbeat", heartbeat.defaultValueDescription,
            "--log-level", "warning",
        ])
        let credentials = try Credentials.load(from: data + "/operator")
        let deadline = ContinuousClock.now.advanced(by: .seconds(20))
        while true {
            do {
                _ = try await OperatorClient.with(gateway: address, credentials: credentials) { try await $0.nodes() }
                return
            } catch {
                guard process.pid != nil, ContinuousClock.now < deadline else {
                    throw CommandFailure("the simulation's gateway does not answer: \(process.lastWords)")
                }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Ends it with this program when that is told to end. Until the returned sources are cancelled.
    func removeOnSignal() -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler {
                if let pid = process.pid { kill(pid, SIGKILL) }
                try? FileManager.default.removeItem(atPath: folder)
                _exit(128 + number)
            }
            source.resume()
            return source
        }
    }

    func remove() async {
        try? await process.stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static func freePort() throws -> UInt16 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { throw CommandFailure("no socket: \(String(cString: strerror(errno)))") }
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, size) == 0 && getsockname(socket, $0, &size) == 0
            }
        }
        guard bound else { throw CommandFailure("no free port: \(String(cString: strerror(errno)))") }
        return UInt16(bigEndian: address.sin_port)
    }
}
