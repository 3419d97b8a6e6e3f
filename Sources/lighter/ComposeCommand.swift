import ArgumentParser
import Compose
import Foundation
import Glibc

struct ComposeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compose", abstract: "Runs Compose with a project whose files may say where services run.",
        usage: "lighter compose [-f FILE ...] ARGUMENTS ...",
        discussion: """
            Takes Compose's own options and commands, and becomes the real Compose
            (docker compose, else docker-compose), on Lighter's socket unless
            DOCKER_HOST or DOCKER_CONTEXT is set. Blocks of settings in Compose files
            become labels of containers:

              x-offload        at the top level: of every service;
                               under a service: of this one
              offload_policy   under a service; comes before x-offload

            Labels that a service has anyway come before both. Keys: policy, target
            (or target_node), tags, cpu_threshold, memory_threshold, priority,
            deadline, failover, exclusive.

              services:
                model:
                  image: model
                  offload_policy: {target_node: cloud1}

            `lighter compose config` shows what comes of it; `lighter compose help`
            is Compose's own help.
            """)

    @Argument(parsing: .captureForPassthrough, help: "As `docker compose --help` says.")
    var arguments: [String] = []

    func run() throws {
        // Everything is passed on, so that the parser has not seen this one.
        if ["--help", "-h"].contains(arguments.first) { throw CleanExit.helpRequest(self) }
        let compose = try ComposeProgram.find()
        var typed = TypedInput()
        let call = try typed.invocation(of: arguments)
        if call.isAsTyped, typed.wasRead { try NamelessFile(typed.data).becomeInput() }
        let paths = try call.texts.map { try NamelessFile(Data($0.utf8)).path }
        let (arguments, environment) = call.call(opening: paths)
        for (name, value) in environment { setenv(name, value, 1) }
        ComposeProgram.useOwnSocket()
        try Programs.become(compose.path, compose.arguments + arguments)
    }
}

/// What Compose would read, of which standard input can be read but once.
private struct TypedInput {
    private(set) var data = Data()
    private(set) var wasRead = false

    mutating func invocation(of arguments: [String]) throws -> ComposeInvocation {
        do {
            return try ComposeInvocation(
                arguments, environment: ProcessInfo.processInfo.environment,
                working: FileManager.default.currentDirectoryPath
            ) { path in
                guard path == "-" else { return try? String(contentsOfFile: path, encoding: .utf8) }
                if !wasRead {
                    wasRead = true
                    data = (try? FileHandle.standardInput.readToEnd()) ?? Data()
                }
                return String(data: data, encoding: .utf8)
            }
        } catch {
            throw CommandFailure(error)
        }
    }
}
