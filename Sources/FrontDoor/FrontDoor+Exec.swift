internal import DockerAPI
internal import Engine
internal import Logging
internal import NIOCore
internal import Session

/// Exec instances of containers elsewhere, whose ids the other engine gives.
extension FrontDoor {
    func createExec(_ head: RequestHead, _ route: Route, _ body: ByteBuffer) async -> Job.Outcome {
        let path = versioned("/containers/\(route.containerID)/exec", head, at: route.target)
        return await answering(route) { client in
            let answer = try await client.request(
                "POST", path, headers: [("Content-Type", "application/json")], body: body)
            if answer.status == 201, let id = (try? JSON.parse(answer.body))?["Id"]?.stringValue {
                self.note(exec: id, of: route)
            }
            return answer
        }
    }

    private func note(exec id: String, of route: Route) {
        do { try execs.put(id, containerID: route.containerID) } catch {
            logger.error("the journal did not take an exec", metadata: ["error": "\(error)"])
        }
    }

    func planExec(_ head: RequestHead, _ id: String, _ action: String) -> Plan {
        guard let container = execs[id], let route = routes[container] else { return local(head) }
        var forward = forwarding(head, route, queryKept(head, "/exec/\(id)/\(action)"), purpose: "exec")
        if action == "start" { forward.ended = touching(route) }
        return .forward(forward)
    }

    private func queryKept(_ head: RequestHead, _ path: String) -> String {
        head.query.map { "\(path)?\($0)" } ?? path
    }
}
