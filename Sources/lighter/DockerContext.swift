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
        let exists = (try? Programs.run(docker, ["context", "inspect", "lighter"])) != nil
        do {
            try Programs.run(
                docker,
                [
                    "context", exists ? "update" : "create", "lighter", "--description", "Lighter on this machine",
                    "--docker", "host=unix://\(socket)",
                ])
        } catch {
            tell("The docker context could not be made (\(error)); use DOCKER_HOST=unix://\(socket) instead.")
            return
        }
        tell("Type:  docker --context lighter run --rm busybox echo hello")
        tell("or:    docker context use lighter      (for every docker command from now on)")
    }
}
