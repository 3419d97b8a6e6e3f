internal import DockerAPI
internal import Engine
internal import Session

/// Calls on one container at the engine here, and what references mean to it.
extension FrontDoor {
    /// What is done to a container here waits while it is on its way to another node with what it wrote.
    func stay(_ head: RequestHead, _ reference: String, _ action: String, _ query: Query) -> Plan {
        guard !halted.isEmpty, ["stop", "kill", "start", "restart"].contains(action) else {
            return stayTravelling(head, reference, action, query)
        }
        return .ask { [self] in
            guard let id = await inspectLocal(reference)?["Id"]?.stringValue else { return local(head) }
            guard ["start", "restart"].contains(action) else {
                forgetHalt(of: id)
                return stayTravelling(head, reference, action, query)
            }
            guard !isGivenAway(id) else { return .handle(Job { _, _ in self.onItsWay(reference) }) }
            return stayTravelling(head, reference, action, query)
        }
    }

    private func stayTravelling(
        _ head: RequestHead, _ reference: String, _ action: String, _ query: Query
    ) -> Plan {
        guard !moving.isEmpty, !["GET", "HEAD"].contains(head.method), action != "wait",
            let travelling = carrying.first(where: { $0.key.hasPrefix(reference) || $0.value.container == reference }),
            moving.contains(travelling.key)
        else { return local(withShownID(head, reference)) }
        return .ask { [self] in
            await settled(travelling.key)
            guard moving.contains(travelling.key) else { return planContainer(head, reference, action, query) }
            return .handle(Job { _, _ in self.onItsWay(reference) })
        }
    }

    func onItsWay(_ reference: String) -> Job.Outcome {
        failure(409, "lighter: \(reference) is on its way to another node: try again when it is there")
    }

    /// The beginning of an id that the engine here does not know the container by, as the whole of it.
    private func withShownID(_ head: RequestHead, _ reference: String) -> RequestHead {
        guard let meant = shownID(reference), let path = containerPath(reference, "").map({ String($0.dropLast()) }),
            let found = head.target.firstRange(of: path)
        else { return head }
        var target = head.target
        target.replaceSubrange(found, with: "/containers/\(meant)")
        return (try? head.withTarget(target)) ?? head
    }

    /// The whole of the only id of the engine here's that is another to users and begins so.
    private func shownID(_ reference: String) -> String? {
        let meant = aliases.shownIDs(at: control.node).filter { $0.hasPrefix(reference) && $0 != reference }
        return meant.count == 1 ? meant[0] : nil
    }

    enum LocalMeaning { case none, named, prefix, ambiguous }

    /// What a reference means to the engine here.
    func lookUpLocal(_ reference: String) async -> LocalMeaning {
        guard let engineClient, let path = containerPath(reference, "json"),
            let answer = try? await engineClient.request("GET", path)
        else { return .none }
        switch answer.status {
        case 200: return (try? JSON.parse(answer.body))?["Name"]?.stringValue == "/\(reference)" ? .named : .prefix
        // The one other answer that tells of a container here; engines differ in its status.
        default: return Self.message(of: answer).contains("Multiple IDs") ? .ambiguous : .none
        }
    }

    func isNamedHere(_ reference: String) async -> Bool {
        if case .named = await lookUpLocal(reference) { true } else { false }
    }

    /// The local engine's view of a container, or nil when it has none (or no answer).
    func inspectLocal(_ reference: String) async -> JSON? {
        guard let engineClient, let path = containerPath(shownID(reference) ?? reference, "json") else { return nil }
        guard let answer = try? await engineClient.request("GET", path), answer.status == 200 else { return nil }
        return try? JSON.parse(answer.body)
    }

    /// What the engine here has by this id; nil where it says that it has not.
    /// - Throws: where it cannot be asked.
    func askedHere(_ id: String) async throws -> JSON? {
        guard let engineClient else { return nil }
        let answer = try await engineClient.request("GET", "/containers/\(id)/json")
        guard answer.status != 404 else { return nil }
        guard answer.status == 200 else { throw Stayed(reason: Self.message(of: answer)) }
        return try answer.json()
    }

    private func containerPath(_ reference: String, _ action: String) -> String? {
        let allowed = reference.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
                || [0x2d, 0x2e, 0x5f].contains($0)
        }
        return allowed && !reference.isEmpty ? "/containers/\(reference)/\(action)" : nil
    }
}
