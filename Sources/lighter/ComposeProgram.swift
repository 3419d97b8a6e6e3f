import Foundation
import Glibc

/// The real Compose.
struct ComposeProgram {
    let path: String
    /// What stands before Compose's own arguments.
    let arguments: [String]

    /// Docker's plugin, else the program of its own.
    static func find() throws -> ComposeProgram {
        if let docker = Programs.inPath("docker"), (try? Programs.run(docker, ["compose", "version"])) != nil {
            return ComposeProgram(path: docker, arguments: ["compose"])
        }
        if let program = Programs.inPath("docker-compose") { return ComposeProgram(path: program, arguments: []) }
        throw CommandFailure(
            "Compose is not installed: neither `docker compose` nor docker-compose is there; install Docker's plugin")
    }

    /// Leads Compose to this machine's front door, unless the user leads it elsewhere.
    static func useOwnSocket() {
        let environment = ProcessInfo.processInfo.environment
        guard ["DOCKER_HOST", "DOCKER_CONTEXT"].allSatisfy({ (environment[$0] ?? "").isEmpty }),
            let socket = Installation.known.map(\.defaultSocket).first(where: FileManager.default.fileExists(atPath:))
        else { return }
        setenv("DOCKER_HOST", "unix://\(socket)", 1)
    }
}
