import ArgumentParser
import DockerAPI
import Engine
import Foundation

/// Which front door of this machine is asked.
struct FrontDoorOptions: ParsableArguments {
    @Option(
        name: .long, help: "The Docker socket that lighterd serves (default: that of DOCKER_HOST, or lighterd's own).")
    var socket: String?

    /// What a front door tells in a list.
    func ask(_ target: String) async throws -> [JSON] {
        let path = try path()
        return try await Self.ask(path, target)
    }

    private func path() throws -> String {
        if let socket { return socket }
        let host = ProcessInfo.processInfo.environment["DOCKER_HOST"] ?? ""
        if host.hasPrefix("unix://") { return String(host.dropFirst("unix://".count)) }
        guard let known = Installation.known.map(\.defaultSocket).first(where: FileManager.default.fileExists(atPath:))
        else {
            throw CommandFailure("no front door is known on this machine: name its socket with --socket")
        }
        return known
    }

    @NodeLoop
    private static func ask(_ path: String, _ target: String) async throws -> [JSON] {
        let answer: DockerResponse
        do {
            answer = try await DockerClient(dialer: UnixDialer(path: path)).request("GET", target)
        } catch {
            throw CommandFailure("\(path) does not answer: is lighterd running? (\(error))")
        }
        guard answer.status == 200 else {
            throw CommandFailure("\(path) is no front door of Lighter's: it answers \(answer.status)")
        }
        return try answer.json().arrayValue ?? []
    }
}
