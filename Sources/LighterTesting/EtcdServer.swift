import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A real etcd on loopback with a data folder of its own; it ends with this process, however that ends.
package final class EtcdServer: Sendable {
    package struct NotStarted: Error, CustomStringConvertible {
        package var description: String
    }

    /// Why tests of etcd are left out; nil where they are not.
    package static let missing: String? =
        locate("etcd") == nil ? "there is no etcd program; scripts/need etcd installs it" : nil

    /// One for all tests that keep to a prefix of their own and do it no harm.
    private static let shared = Mutex<EtcdServer?>(nil)
    /// What tidies up after this process; held until its end.
    private static let janitors = Mutex<[Process]>([])

    package static func sharedServer() throws -> EtcdServer {
        try shared.withLock { server in
            if let server { return server }
            let new = try start(members: 1)[0]
            server = new
            return new
        }
    }

    package let port: Int
    private let arguments: [String]
    private let process = Mutex<(child: Process, pid: pid_t)?>(nil)

    /// Starts the members of a new cluster.
    ///
    /// - Parameter options: further ones of etcd's, as `--quota-backend-bytes=…`.
    package static func start(
        members: Int, scheme: String = "http", options: [String] = []
    ) throws -> [EtcdServer] {
        let folder = FileManager.default.temporaryDirectory.path + "/lighter-etcd-\(UUID())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try removeAtEnd(folder)
        let ports = try freePorts(2 * members)
        let cluster = (0..<members).map { "m\($0)=http://127.0.0.1:\(ports[members + $0])" }.joined(separator: ",")
        let servers = (0..<members).map { number in
            let client = "\(scheme)://127.0.0.1:\(ports[number])"
            let peer = "http://127.0.0.1:\(ports[members + number])"
            return EtcdServer(
                port: ports[number],
                arguments: [
                    "--name=m\(number)", "--data-dir=\(folder)/m\(number)", "--listen-client-urls=\(client)",
                    "--advertise-client-urls=\(client)", "--listen-peer-urls=\(peer)",
                    "--initial-advertise-peer-urls=\(peer)", "--initial-cluster=\(cluster)", "--logger=zap",
                    "--log-outputs=\(folder)/m\(number).log",
                ] + options)
        }
        for server in servers { try server.start() }
        return servers
    }

    private init(port: Int, arguments: [String]) {
        self.port = port
        self.arguments = arguments
    }

    /// Starts it with the data that it has, and returns once it listens.
    package func start() throws {
        guard let program = Self.locate("etcd") else { throw NotStarted(description: Self.missing ?? "") }
        let child = Process()
        let (input, output) = (Pipe(), Pipe())
        child.executableURL = URL(fileURLWithPath: "/bin/sh")
        // The pipe ends with this process, and etcd with the pipe.
        child.arguments = [
            "-c", #""$@" >/dev/null 2>&1 </dev/null & echo $!; cat >/dev/null; kill -9 $!"#, "sh", program,
        ]
        child.arguments? += arguments
        child.standardInput = input
        child.standardOutput = output
        try child.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let pid = pid_t(line.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw NotStarted(description: "etcd was not started")
        }
        process.withLock { $0 = (child, pid) }
        let deadline = Date() + 20
        while !Self.listens(port) {
            guard Date() < deadline else { throw NotStarted(description: "etcd does not listen on port \(port)") }
            usleep(20_000)
        }
    }

    /// As a power cut ends it; what it acknowledged is on its disk.
    package func kill() {
        guard let (child, pid) = process.withLock({ $0.take() }) else { return }
        // The shell first: it must not end by number what has ended already.
        _ = Self.signal(child.processIdentifier, SIGKILL)
        _ = Self.signal(pid, SIGKILL)
        while Self.listens(port) { usleep(5000) }
    }

    /// Removes the folder once this process has ended, and etcd with it.
    private static func removeAtEnd(_ folder: String) throws {
        let janitor = Process()
        janitor.executableURL = URL(fileURLWithPath: "/bin/sh")
        janitor.arguments = ["-c", #"cat >/dev/null; sleep 1; rm -rf "$1""#, "sh", folder]
        janitor.standardInput = Pipe()
        try janitor.run()
        janitors.withLock { $0.append(janitor) }
    }

    /// It stops answering without closing anything, as behind a cut.
    package func pause() { process.withLock { if let pid = $0?.pid { _ = Self.signal(pid, SIGSTOP) } } }
    package func goOn() { process.withLock { if let pid = $0?.pid { _ = Self.signal(pid, SIGCONT) } } }

    #if canImport(Glibc)
        private static func signal(_ pid: pid_t, _ number: CInt) -> CInt { Glibc.kill(pid, number) }
    #elseif canImport(Musl)
        private static func signal(_ pid: pid_t, _ number: CInt) -> CInt { Musl.kill(pid, number) }
    #else
        private static func signal(_ pid: pid_t, _ number: CInt) -> CInt { Darwin.kill(pid, number) }
    #endif

    private static func locate(_ program: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(program)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    // MARK: - Ports

    /// Ports that nobody uses now.
    private static func freePorts(_ count: Int) throws -> [Int] {
        var sockets: [CInt] = []
        defer { for socket in sockets { close(socket) } }
        return try (0..<count).map { _ in
            let socket = tcpSocket()
            sockets.append(socket)
            var address = loopback(port: 0)
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let bound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    bind(socket, address, length) == 0 && getsockname(socket, address, &length) == 0
                }
            }
            guard bound else { throw NotStarted(description: "no port is free") }
            return Int(in_port_t(bigEndian: address.sin_port))
        }
    }

    private static func listens(_ port: Int) -> Bool {
        let socket = tcpSocket()
        defer { close(socket) }
        var address = loopback(port: port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func tcpSocket() -> CInt {
        #if canImport(Glibc)
            socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #else
            socket(AF_INET, SOCK_STREAM, 0)
        #endif
    }

    private static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return address
    }
}
