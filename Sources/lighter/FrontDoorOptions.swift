import ArgumentParser
import DockerAPI
import Engine
import Foundation
import NIOCore

/// The front door of this machine, for commands that ask it rather than the gateway.
struct FrontDoorOptions: ParsableArguments {
    @Option(
        name: .long, help: "The Docker socket that lighterd serves (default: that of DOCKER_HOST, or lighterd's own).")
    var socket: String?

    /// What a front door tells in a list.
    func ask(_ target: String) async throws -> [JSON] { try await ask("GET", target).arrayValue ?? [] }

    /// - Throws: `CommandFailure` where no front door answers, or in the front door's own words.
    func ask(_ method: String, _ target: String, body: JSON? = nil) async throws -> JSON {
        try await Self.ask(try path(), method, target, body)
    }

    func validate() throws { if let socket { _ = try Self.path(of: socket) } }

    /// - Parameter socket: a path, or `unix://` and a path.
    /// - Throws: `ValidationError` for what is on no socket of this machine.
    static func path(of socket: String) throws -> String {
        let path = socket.hasPrefix("unix://") ? String(socket.dropFirst("unix://".count)) : socket
        guard !path.isEmpty, !path.contains("://") else {
            throw ValidationError("--socket \(socket): name a Unix socket of this machine, as PATH or unix://PATH")
        }
        return path
    }

    private func path() throws -> String {
        if let socket { return try Self.path(of: socket) }
        let host = ProcessInfo.processInfo.environment["DOCKER_HOST"] ?? ""
        if host.hasPrefix("unix://") { return try Self.path(of: host) }
        guard let known = Installation.known.map(\.defaultSocket).first(where: FileManager.default.fileExists(atPath:))
        else {
            throw CommandFailure("no front door is known on this machine: name its socket with --socket")
        }
        return known
    }

    @NodeLoop
    private static func ask(_ path: String, _ method: String, _ target: String, _ body: JSON?) async throws -> JSON {
        let answer: DockerResponse
        do {
            answer = try await DockerClient(dialer: UnixDialer(path: path)).request(method, target, body: body?.buffer)
        } catch {
            throw CommandFailure("\(path) does not answer: is lighterd running? (\(error))")
        }
        if answer.status == 200 { return try answer.json() }
        let said = (try? answer.json())?["message"]?.stringValue ?? ""
        guard answer.status != 404 || said.hasPrefix("lighter: ") || said.hasPrefix("No such image") else {
            throw CommandFailure("\(path) is no front door of Lighter's: it answers \(answer.status)")
        }
        throw CommandFailure(said.hasPrefix("lighter: ") ? String(said.dropFirst("lighter: ".count)) : said)
    }
}
