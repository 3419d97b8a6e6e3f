internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// Volumes: each is on one node, and draws the containers that use it there.
extension FrontDoor {
    func planVolume(_ head: RequestHead, _ route: DockerRoute, _ query: Query) -> Plan {
        guard engine != nil else { return local(head) }
        return switch route {
        case .volumeCreate: .handle(Job { body, _ in await self.createVolume(head, body) })
        case .volumeList where !volumes.away.isEmpty:
            .handle(Job { _, _ in await self.listVolumes(head, query) })
        case .volumePrune where !volumes.away.isEmpty:
            .handle(Job { _, _ in await self.pruneVolumes(head, query) })
        case .volume(let name): planVolume(head, name, query)
        default: local(head)
        }
    }

    private func planVolume(_ head: RequestHead, _ name: String, _ query: Query) -> Plan {
        guard case .away(let node, let shown)? = volumes[name] else { return local(head) }
        return switch head.method {
        case "GET": .answer(Answer(DockerResponseBytes.json(shown, version: greeting.apiVersion.description)))
        case "DELETE": .handle(Job { _, _ in await self.answering { try await self.removeVolume(name, node) } })
        default: local(head)
        }
    }

    // MARK: At other nodes

    /// Makes a volume at a node, unless it is there; it counts as there once a container uses it.
    func provide(volume name: String, at node: NodeID, for creation: Creation) async throws {
        if case .away? = volumes[name] { return }
        var body: JSON = ["Name": .string(name)]
        if case .unused(let shown)? = volumes[name] {
            body["Labels"] = shown["Labels"]
        } else if let labels = creation.spec.json.volumeLabels(name) {
            body["Labels"] = labels
        }
        let client = DockerClient(dialer: nodeDialer(node, purpose: "volume"), maximumIdle: 0)
        let answer = try await client.request("POST", "/volumes/create", body: body.buffer)
        guard answer.status == 201 else {
            throw DockerFailure(status: answer.status, message: presentation.message(Self.message(of: answer)))
        }
    }

    /// Takes note that a container elsewhere uses volumes there from now on.
    func settle(_ names: [String], at node: NodeID) async {
        for name in names {
            if case .away? = volumes[name] { continue }
            do {
                let client = DockerClient(dialer: nodeDialer(node, purpose: "volume"), maximumIdle: 0)
                let answer = try await client.request("GET", Self.volumePath(name))
                guard answer.status == 200, let found = try? JSON.parse(answer.body) else { continue }
                let isKnown = volumes[name] != nil
                let isEmptyHere = isKnown ? await mayLeave(volume: name) : false
                try volumes.put(.away(node, presentation.volume(found, at: node)), for: name)
                if !isKnown { eventLog.note(volume: name, "create", now: now()) }
                if isEmptyHere { try await removeMoved(volume: name) }
            } catch {
                logger.error("a volume's place was not kept", metadata: ["volume": "\(name)", "error": "\(error)"])
            }
        }
    }

    /// Removes the empty one that was made here: a volume is in one place.
    private func removeMoved(volume name: String) async throws {
        eventLog.beginMove(of: name, now: now())
        defer { eventLog.endMove(of: name, now: now()) }
        _ = try await engineClient?.request("DELETE", Self.volumePath(name))
    }

    /// Takes note of volumes whose containers were recorded just before an earlier run of this daemon ended.
    func settleRemembered() async {
        for route in routes.all where route.volumes.contains(where: { volumes[$0]?.node == nil }) {
            await settle(route.volumes, at: route.target)
        }
    }

    /// Takes note that a container of this device's own engine uses volumes: they stay here.
    func settleHere(_ names: [String]) {
        for name in names {
            guard case .unused? = volumes[name] else { continue }
            do { try volumes.put(nil, for: name) } catch {
                logger.error("the journal did not take a volume", metadata: ["error": "\(error)"])
            }
        }
    }

    // MARK: Without names

    /// What a container that has just been made uses of volumes besides those that its user named.
    func volumes(of containerID: String, _ creation: Creation, _ dialer: NodeDialer) async -> [String] {
        guard creation.mayBringVolumes else { return [] }
        let client = DockerClient(dialer: dialer, maximumIdle: 0)
        guard let answer = try? await client.request("GET", "/containers/\(containerID)/json"), answer.status == 200,
            let mounts = (try? JSON.parse(answer.body))?["Mounts"]?.arrayValue
        else { return [] }
        let used = mounts.filter { $0["Type"]?.stringValue == "volume" }.compactMap { $0["Name"]?.stringValue }
        return used.map(presentation.name).filter { !creation.sharing.volumes.contains($0) }
    }

    /// Forgets volumes that went with their container, unless another one uses them.
    func forgetVolumes(goneWith route: Route) {
        for name in unused(route.anonymousVolumes) {
            // One that came with a move is no anonymous one to the engine, and stays.
            if case .away(let node, let shown)? = volumes[name],
                shown["Mountpoint"]?.stringValue?.contains("/\(name).\(control.node)/") == true
            {
                start { [self] in await removeCarried(name, node) }
            }
            forget(volume: name)
        }
    }

    private func removeCarried(_ name: String, _ node: NodeID) async {
        let stray = Journal.Stray(volume: name, node: node)
        do {
            try routes.journal.put(stray)
            try await removeStray(stray)
        } catch {
            logger.notice("a volume is removed later", metadata: ["volume": "\(name)", "reason": "\(error)"])
        }
    }

    /// Looks whether a container that is gone has taken its volumes with it.
    func verifyVolumes(of route: Route) {
        let names = unused(route.anonymousVolumes)
        guard !names.isEmpty else { return }
        start { [self] in
            let client = DockerClient(dialer: nodeDialer(route.target, purpose: "volume"), maximumIdle: 0)
            for name in names {
                guard let answer = try? await client.request("GET", Self.volumePath(name)), answer.status == 404 else {
                    continue
                }
                forget(volume: name)
            }
        }
    }

    private func unused(_ names: [String]) -> [String] {
        names.filter { name in !routes.all.contains { $0.volumes.contains(name) } }
    }

    private func forget(volume name: String) {
        guard case .away? = volumes[name] else { return }
        do { try volumes.put(nil, for: name) } catch {
            logger.error("the journal did not take a volume", metadata: ["error": "\(error)"])
        }
        eventLog.note(volume: name, "destroy", now: now())
    }

    // MARK: Calls

    private func removeVolume(_ name: String, _ node: NodeID) async throws -> DockerResponse {
        let users = routes.all.filter { $0.volumes.contains(name) }.map(\.containerID).sorted()
        guard users.isEmpty else {
            throw DockerFailure(
                status: 409, message: "remove \(name): volume is in use - [\(users.joined(separator: ", "))]")
        }
        let client = DockerClient(dialer: nodeDialer(node, purpose: "volume"), maximumIdle: 0)
        let answer: DockerResponse
        do {
            answer = try await client.request("DELETE", Self.volumePath(name))
        } catch {
            throw DockerFailure(
                status: 503, message: "lighter: node \(node), where volume \(name) is, cannot be reached: \(error)")
        }
        guard [204, 404].contains(answer.status) else {
            throw DockerFailure(status: answer.status, message: presentation.message(Self.message(of: answer)))
        }
        try volumes.put(nil, for: name)
        eventLog.note(volume: name, "destroy", now: now())
        return answer
    }

    private func createVolume(_ head: RequestHead, _ body: ByteBuffer) async -> Job.Outcome {
        await answering {
            let asked = try? JSON.parse(body)
            let name = asked?.value(named: "Name")?.stringValue ?? ""
            if case .away(_, let shown)? = volumes[name] {
                guard ["", "local"].contains(asked?.value(named: "Driver")?.stringValue ?? "") else {
                    throw DockerFailure(
                        status: 409,
                        message: "create \(name): a volume named \(name) exists already, with another driver; "
                            + "choose another name")
                }
                return DockerResponse(status: 201, json: shown)
            }
            let existed = name.isEmpty ? false : try await exists(volume: name)
            let answer = try await locally(head, body)
            if answer.status == 201, !existed, let shown = try? JSON.parse(answer.body), shown.isPlainVolume,
                let name = shown["Name"]?.stringValue
            {
                try volumes.put(.unused(shown), for: name)
            }
            return answer
        }
    }

    private func exists(volume name: String) async throws -> Bool {
        try await engineClient?.request("GET", Self.volumePath(name)).status == 200
    }

    private func listVolumes(_ head: RequestHead, _ query: Query) async -> Job.Outcome {
        await answering {
            let answer: DockerResponse
            do {
                answer = try await locally(head)
            } catch let error as EngineError {
                answer = DockerResponse(json: ["Volumes": [], "Warnings": [.string("lighter: \(error.message)")]])
            }
            guard answer.status == 200, var report = try? JSON.parse(answer.body) else { return answer }
            let filters = try query.filters()
            let more = volumes.away.filter { admits($0.name, $0.shown, filters) }.map(\.shown)
            let all = ((report["Volumes"]?.arrayValue ?? []) + more).sorted {
                ($0["Name"]?.stringValue ?? "") < ($1["Name"]?.stringValue ?? "")
            }
            report["Volumes"] = .array(all)
            return answer.replacing(body: report.buffer)
        }
    }

    /// The filters of a volume list, as an engine applies them.
    private func admits(_ name: String, _ shown: JSON, _ filters: DockerFilters) -> Bool {
        let names = filters.values("name")
        guard names.isEmpty || names.contains(where: { NamePattern($0).matches(name) }) else { return false }
        let drivers = filters.values("driver")
        guard drivers.isEmpty || drivers.contains("local") else { return false }
        if let dangling = filters.values("dangling").first {
            let isUsed = routes.all.contains { $0.volumes.contains(name) }
            guard isUsed != ["1", "true"].contains(dangling) else { return false }
        }
        return filters.admit(labels: shown["Labels"])
    }

    private func pruneVolumes(_ head: RequestHead, _ query: Query) async -> Job.Outcome {
        await answering {
            let answer = try await locally(head)
            guard answer.status == 200, var report = try? JSON.parse(answer.body) else { return answer }
            let filters = try query.filters()
            let asked = head.apiVersion.flatMap(APIVersion.init) ?? greeting.apiVersion
            let takesNamed = asked < .anonymousVolumePrune || ["1", "true"].contains(filters.values("all").first)
            var gone = report["VolumesDeleted"]?.arrayValue ?? []
            var reclaimed = report["SpaceReclaimed"]?.intValue ?? 0
            let candidates = volumes.away.filter { name, _, shown in
                (takesNamed || VolumeName.isAnonymous(name)) && filters.admit(labels: shown["Labels"])
                    && !routes.all.contains { $0.volumes.contains(name) }
            }
            let sizes = await volumeSizes(at: Set(candidates.map(\.node)))
            for (name, node, _) in candidates {
                do {
                    _ = try await removeVolume(name, node)
                    gone.append(.string(name))
                    reclaimed += max(0, sizes[name]?.intValue ?? 0)
                } catch {
                    logger.warning("a volume was not pruned", metadata: ["volume": "\(name)", "reason": "\(error)"])
                }
            }
            report["VolumesDeleted"] = gone.isEmpty ? .null : .array(gone)
            report["SpaceReclaimed"] = .int(reclaimed)
            return answer.replacing(body: report.buffer)
        }
    }
}

extension JSON {
    /// Whether an engine made it with its own driver and no options, as any engine could.
    fileprivate var isPlainVolume: Bool {
        self["Driver"]?.stringValue == "local" && (self["Options"]?.objectValue?.isEmpty ?? true)
            && self["Scope"]?.stringValue != "global"
    }

    /// The labels that a create request gives to a volume which it would make.
    fileprivate func volumeLabels(_ name: String) -> JSON? {
        value(named: "HostConfig")?.value(named: "Mounts")?.arrayValue?.first {
            $0.value(named: "Source")?.stringValue == name
        }?.value(named: "VolumeOptions")?.value(named: "Labels")
    }
}
