internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// A container that was elsewhere is made anew by this device's own engine.
extension FrontDoor {
    /// No other node takes it: this device does, with its own engine.
    /// - Returns: whether its start was answered, if it ran; else it is tried until it is.
    @discardableResult
    func comeHome(_ creation: Creation, _ placed: Placed, _ lost: Route) async throws -> Bool {
        let id = lost.containerID
        guard let engineClient else { throw Stayed(reason: "this device has no engine of its own") }
        ports.close(id)
        leaveMounts(of: lost)
        let engineID: String
        do {
            engineID = try await make(creation, id, engineClient)
        } catch {
            if creation.isMove {
                await control.abandon(lost.workload, epoch: placed.epoch, reason: stayed(error).reason)
            }
            throw error
        }
        do {
            if let luggage = creation.luggage { try await unpack(luggage, nil, engineID: engineID) }
        } catch {
            _ = try? await engineClient.request("DELETE", "/containers/\(engineID)?force=1")
            throw error
        }
        var workload = Workload(
            id: lost.workload, tenant: control.tenant, origin: control.node, target: control.node, state: .created,
            version: Version(epoch: placed.epoch, sequence: 0), containerID: id, name: lost.name,
            image: creation.spec.image, resources: creation.request.resources, createdAt: now(),
            workKey: creation.request.workKey)
        workload.decision = placed.decision
        lives.note(id, workload: lost.workload, engineID: aliases.engineID(of: id, at: lost.target))
        lives.note(id, workload: lost.workload, engineID: engineID)
        try aliases.put(id, engineID: engineID, at: control.node)
        let ran = creation.isMove ? creation.wasRunning : !fresh.contains(id)
        let kept = try routes.journal.asked(of: id)
        if !creation.isMove { try noteUnstarted(id, epoch: placed.epoch) }
        drop(lost)
        if creation.luggage == nil { forgetVolumes(goneWith: lost) }
        localWorkload(engineID, workload)
        try routes.journal.putLocal(engineID, workload)
        if let kept { try routes.journal.putAsked(id, head: kept.head, body: kept.body) }
        logger.notice(
            "a container came back to this device", metadata: ["container": "\(lost.name)", "from": "\(lost.target)"])
        if let luggage = creation.luggage { await settle(luggage, at: control.node, before: lost.target) }
        guard ran else { return true }
        await letAttachedFollow(id)
        return try await start(engineID, creation, lost, placed.epoch, engineClient)
    }

    /// - Returns: its id in the engine here. An image that is missing is brought from the node that has it, or else pulled.
    private func make(_ creation: Creation, _ id: String, _ engine: DockerClient) async throws -> String {
        var json = creation.spec.json.withHostname(ofID: id)
        json.update(named: "Labels") { $0[Presentation.containerLabel] = .string(id) }
        let (body, target) = (json.buffer, creation.query.target("/containers/create"))
        try await removeUnfinished(id, engine)
        var answer = try await engine.request("POST", target, headers: creation.passedHeaders, body: body)
        if answer.status == 404, Self.isMissingImage(answer) {
            if let away = creation.awayImage { try await settle(away) } else { await pullAgain(creation, with: engine) }
            answer = try await engine.request("POST", target, headers: creation.passedHeaders, body: body)
        }
        guard answer.status == 201, let engineID = try answer.json()["Id"]?.stringValue else {
            throw Stayed(reason: "this device's engine refused it: \(Self.message(of: answer))")
        }
        return engineID
    }

    /// - Returns: whether that was answered; else it is tried until it is.
    private func start(
        _ engineID: String, _ creation: Creation, _ lost: Route, _ epoch: UInt64, _ engine: DockerClient
    ) async throws -> Bool {
        let id = lost.containerID
        let started: DockerResponse
        do {
            started = try await engine.request("POST", "/containers/\(engineID)/start")
            guard [204, 304].contains(started.status) || creation.isMove else {
                throw Stayed(reason: Self.message(of: started))
            }
        } catch {
            logger.error(
                "a container came to this device but does not run yet",
                metadata: ["container": "\(lost.name)", "reason": "\(stayed(error).reason)"])
            keepStarting(Journal.Halt(container: id, epoch: epoch, stage: .made))
            return false
        }
        guard [204, 304].contains(started.status) else {
            throw Stayed(reason: "it came to this device but did not start: \(Self.message(of: started))")
        }
        if !creation.isMove { try? routes.journal.removeHalt(of: id) }
        await resizeWindow(of: id, engine)
        return true
    }

    /// Removes what an earlier run of this program made here of a container, and ended before it was recorded: it has its name.
    private func removeUnfinished(_ id: String, _ engine: DockerClient) async throws {
        let made = try await engine.containers(where: [
            "label": "\(Presentation.containerLabel)=\(id)", "status": "created",
        ])
        let recorded = try routes.journal.localWorkloads()
        for found in made {
            guard let engineID = found["Id"]?.stringValue, recorded[engineID] == nil else { continue }
            _ = try await engine.request("DELETE", "/containers/\(engineID)?v=1")
        }
    }
}
