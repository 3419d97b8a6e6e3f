import Foundation

/// The docker context `lighter`, through which the docker client finds Lighter's socket.
struct DockerContext {
    let socket: String

    /// Makes or updates the context and tells the user, line by line, how to use it; without a docker client, how else.
    func use(_ tell: (String) -> Void) throws {
        guard let docker = Programs.inPath("docker") else {
            tell("Type:  export DOCKER_HOST=unix://\(socket)")
            return
        }
        let exists = (try? run(docker, ["inspect", "lighter"])) != nil
        let description = ["--description", "Lighter on this machine", "--docker", "host=unix://\(socket)"]
        do {
            try run(docker, [exists ? "update" : "create", "lighter"] + description)
        } catch {
            tell("The docker context could not be made (\(error)); use DOCKER_HOST=unix://\(socket) instead.")
            return
        }
        tell("Type:  docker --context lighter run --rm busybox echo hello")
        tell("or:    docker context use lighter      (for every docker command from now on)")
    }

    /// Runs `docker context` as the person who typed: contexts lie in their home, not in root's.
    private func run(_ docker: String, _ arguments: [String]) throws {
        if getuid() == 0, let user = ProcessInfo.processInfo.environment["SUDO_USER"], user != "root",
            let sudo = Programs.inPath("sudo")
        {
            try Programs.run(sudo, ["-u", user, "-H", docker, "context"] + arguments)
        } else {
            try Programs.run(docker, ["context"] + arguments)
        }
    }
}
