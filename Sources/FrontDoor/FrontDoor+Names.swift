internal import DockerAPI
internal import Engine
internal import Fleet
internal import Session

/// Names of containers, which are unique over all nodes for each device.
extension FrontDoor {
    func rename(_ head: RequestHead, _ route: Route, _ query: Query) async -> Job.Outcome {
        let name = Self.newName(query)
        if name.isEmpty { return failure(400, "Neither old nor new names may be empty") }
        if name == route.name { return failure(400, "Renaming a container with the same name as its current name") }
        guard Self.isName(name) else {
            return failure(
                400,
                "Error when allocating new name: Invalid container name (/\(name)), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )
        }
        await routes.hold(name)
        defer { routes.unreserve(name) }
        if let holder = await holder(of: name) { return allocationFailed(name, by: holder) }
        var query = query
        query.set("name", name)
        let path = versioned(query.target("/containers/\(route.containerID)/rename"), head, at: route.target)
        return await answering(route) { client in
            let answer = try await client.request("POST", path)
            guard answer.status == 204 else {
                throw DockerFailure(status: answer.status, message: self.presentation.message(Self.message(of: answer)))
            }
            if var renamed = self.routes[route.containerID] {
                renamed.name = name
                self.keep(renamed)
            }
            return answer
        }
    }

    func renameLocal(_ head: RequestHead, _ query: Query) async -> Job.Outcome {
        let name = Self.newName(query)
        if let route = routes.named(name), await !verify(route) { return allocationFailed(name, by: route.containerID) }
        guard let engine else { return failure(404, "No such container") }
        return .forward(Forward(dialer: engine, reuseKey: engine.reuseKey, head: head.raw))
    }

    private static func isName(_ text: String) -> Bool {
        let isPlain = { (byte: UInt8) in
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
        }
        guard let first = text.utf8.first, isPlain(first), text.utf8.count > 1 else { return false }
        return text.utf8.allSatisfy { isPlain($0) || [0x2d, 0x2e, 0x5f].contains($0) }
    }

    private static func newName(_ query: Query) -> String {
        query.first("name").map { $0.hasPrefix("/") ? String($0.dropFirst()) : $0 } ?? ""
    }

    /// A rename that finds the name taken, in the engine's words.
    private func allocationFailed(_ name: String, by holder: String) -> Job.Outcome {
        failure(409, "Error when allocating new name: \(Self.conflictMessage(name, holder))")
    }

    /// Docker's own 409 when a container here or away has the name.
    func conflict(over name: String) async -> Job.Outcome? {
        await holder(of: name).map { nameTaken(name, by: $0) }
    }

    /// The id of the container, here or away, that has the name.
    private func holder(of name: String) async -> String? {
        guard !name.isEmpty else { return nil }
        if let route = routes.named(name), await !verify(route) { return route.containerID }
        guard let local = await inspectLocal(name) else { return isEngineDown ? holderHere(name) : nil }
        return local["Name"]?.stringValue == "/\(name)" ? local["Id"]?.stringValue ?? "" : nil
    }

    /// The container of this device's engine that was given the name, as far as this daemon made it.
    private func holderHere(_ name: String) -> String? {
        (try? routes.journal.localWorkloads())?.first { $0.value.name == name }?.key
    }

    func nameTaken(_ name: String, by holder: String) -> Job.Outcome {
        failure(409, Self.conflictMessage(name, holder))
    }

    private static func conflictMessage(_ name: String, _ holder: String) -> String {
        "Conflict. The container name \"/\(name)\" is already in use by container \"\(holder)\". "
            + "You have to remove (or rename) that container to be able to reuse that name."
    }
}
