internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// `POST /commit` of a container at another node: the image is made there and comes home.
extension FrontDoor {
    func planCommit(_ head: RequestHead, _ query: Query) -> Plan {
        guard let reference = query.first("container") else { return local(head) }
        return switch routes.resolve(reference) {
        case .exact(let route): .handle(Job { body, _ in await self.commit(head, query, body, route) })
        case .prefix(let route):
            .ask { [self] in
                await isNamedHere(reference)
                    ? local(head) : .handle(Job { body, _ in await self.commit(head, query, body, route) })
            }
        case .none, .ambiguous: local(head)
        }
    }

    /// Answers once the image is one of this device: what follows (`history`, `tag`, `run`) is then as after any commit.
    private func commit(_ head: RequestHead, _ query: Query, _ body: ByteBuffer, _ route: Route) async -> Job.Outcome {
        let name = query.first("repo") ?? ""
        let reference = ImageReference(fromImage: name, tag: query.first("tag"))
        // Before anything is made.
        guard name.isEmpty || (reference != nil && reference?.digest == nil) else {
            return failure(400, "invalid reference format")
        }
        var query = query
        query.remove("repo")
        query.remove("tag")
        query.set("container", route.containerID)
        let target = versioned(query.target("/commit"), head, at: route.target)
        let answer: DockerResponse
        do {
            let client = DockerClient(dialer: dialer(to: route, purpose: "commit"), maximumIdle: 0)
            answer = try await client.request(
                "POST", target, body: body.readableBytes == 0 ? ByteBuffer(string: "{}") : body)
        } catch {
            return unreachable(route, error)
        }
        if answer.status == 404 { start { await self.verify(route) } }
        guard answer.status == 201, let id = try? answer.json()["Id"]?.stringValue.flatMap(LayerDigest.init(imageID:))
        else {
            return .answer(Answer(presented(answer).bytes))
        }
        do {
            let here = try await bring(id, from: route.target)
            if let reference { try await tag(here, reference) }
            estimates.note(image: "\(here)", at: route.target)
            estimates.note(image: "\(here)", at: control.node)
            guard here != id else { return .answer(Answer(answer.bytes)) }
            return .answer(Answer(answer.replacing(body: (["Id": .string("\(here)")] as JSON).buffer).bytes))
        } catch {
            // Nobody knows of it: it would only fill the node's disk.
            let client = DockerClient(dialer: nodeDialer(route.target, purpose: "image"), maximumIdle: 0)
            _ = try? await client.request("DELETE", "/images/\(id)")
            return failure(
                503,
                "lighter: the image was made on node \(route.target) and cannot be brought to this device: \(error)")
        }
    }
}
