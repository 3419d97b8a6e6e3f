import Foundation
import Glibc

/// This machine's lighterd as a background process.
struct NodeDaemon {
    let installation: Installation
    private let program: String

    init(installation: Installation) throws {
        self.installation = installation
        program = try Programs.sibling("lighterd")
    }

    private var process: BackgroundProcess { installation.background("lighterd") }

    /// Who may use Docker may use this socket; only root can give it to them.
    private var group: [String] {
        getuid() == 0 && getgrnam("docker") != nil ? ["--group", "docker"] : []
    }

    /// Starts it, unless it runs with these arguments already, and waits until its Docker socket answers.
    func start(_ arguments: [String]) async throws {
        try installation.prepare()
        let socket = installation.defaultSocket
        let folder = URL(fileURLWithPath: socket).deletingLastPathComponent().path
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw CommandFailure("cannot make \(folder): \(error.localizedDescription)")
        }
        let command = [
            program, "--state", installation.state, "--config", installation.configurationFile, "--socket", socket,
        ]
        _ = try await process.ensure(command + group + arguments)
        let deadline = ContinuousClock.now.advanced(by: .seconds(20))
        while !DockerSocket(path: socket).answers {
            guard process.pid != nil else { throw CommandFailure("lighterd ended: \(process.lastWords)") }
            guard ContinuousClock.now < deadline else {
                throw CommandFailure("\(socket) does not answer after 20 s: see \(process.log)")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}
