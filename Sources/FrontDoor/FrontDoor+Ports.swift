internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Session

/// Published ports of containers elsewhere: open on this device for as long as the container runs.
extension FrontDoor {
    /// Starts, or starts again, a container whose ports have to be open and whose mounts have to be there first.
    func startPrepared(_ head: RequestHead, _ route: Route, _ action: String, _ query: Query) async -> Job.Outcome {
        let wereOpen = ports.isOpen(route.containerID)
        do throws(DockerFailure) {
            try await openPorts(of: route)
            // One that was begun elsewhere before, or moved, may have run there.
            let isFirst = lastStates[route.containerID] == "created" && route.note.isEmpty
            try await synchroniseMounts(of: route, isFirst: isFirst)
        } catch {
            if !wereOpen { ports.close(route.containerID) }
            return .answer(Answer(error.response(version: greeting.apiVersion.description)))
        }
        let path = query.target("/containers/\(route.containerID)/\(action)")
        let (status, outcome) = await passing(head, route, path)
        answered(status, to: "POST", action, on: route)
        // Its engine's event may come later than the link breaks.
        if status == 204, lastStates[route.containerID] == "created" { lastStates[route.containerID] = "running" }
        // It does not run, so nobody shall get through to nothing.
        if ![204, 304].contains(status), !wereOpen {
            ports.close(route.containerID)
            if lastStates[route.containerID] != "running" { leaveMounts(of: route) }
        }
        return outcome
    }

    /// Listens for all of a container's ports, or for none.
    /// - Throws: the failure that an engine would answer a start with.
    func openPorts(of route: Route) async throws(DockerFailure) {
        guard ports.begin(route.containerID) else { return }
        var opened: [PortListener] = []
        var published = route.ports
        if route.publishesAll { published += await exposedPorts(of: route, beside: published) }
        for index in published.indices {
            let target = (published[index].containerPort, published[index].isUDP)
            do {
                let listener = try await PortListener.open(published[index]) { [self] in
                    // The route of now: its ticket may have been renewed since.
                    var dialer = dialer(to: routes[route.containerID] ?? route, purpose: "port")
                    dialer.kind = .port(target.0, isUDP: target.1)
                    return dialer
                }
                published[index].bindings = listener.bindings
                opened.append(listener)
            } catch {
                for listener in opened { listener.close() }
                ports.close(route.containerID)
                throw await refusal(of: published[index], route, error)
            }
        }
        ports.opened(route.containerID, published, opened)
        guard var current = routes[route.containerID] else { return ports.close(route.containerID) }
        guard current.ports != published else { return }
        current.ports = published
        keep(current)
    }

    /// What `-P` adds: every port that the container exposes and that is not published by name.
    private func exposedPorts(of route: Route, beside named: [PublishedPort]) async -> [PublishedPort] {
        let client = DockerClient(dialer: dialer(to: route, purpose: "inspect"), maximumIdle: 0)
        guard let answer = try? await client.request("GET", "/containers/\(route.containerID)/json"),
            let exposed = (try? JSON.parse(answer.body))?["Config"]?["ExposedPorts"]?.objectValue?.keys
        else { return [] }
        let known = Set(named.map(\.key))
        return exposed.compactMap(PublishedPort.init(exposed:)).filter { !known.contains($0.key) }
    }

    /// A port that cannot be had, in an engine's words.
    private func refusal(of port: PublishedPort, _ route: Route, _ error: any Error) async -> DockerFailure {
        let prefix =
            "driver failed programming external connectivity on endpoint \(route.name) (\(route.containerID)): "
        guard let refusal = error as? PortListener.Refusal else {
            return DockerFailure(status: 500, message: "\(prefix)\(error)")
        }
        let (address, number) = (refusal.binding.address, refusal.binding.port)
        let shown = address.contains(":") ? "[\(address)]:\(number)" : "\(address):\(number)"
        let isAContainers = ports.holds(number, isUDP: port.isUDP) ? true : await isPublishedHere(number, port.isUDP)
        if refusal.isTaken, isAContainers {
            return DockerFailure(status: 500, message: "\(prefix)Bind for \(shown) failed: port is already allocated")
        }
        let kind = (port.isUDP ? "udp" : "tcp") + (address.contains(":") ? "6" : "4")
        let reason = String(cString: strerror(refusal.reason.errnoCode)).lowercased()
        return DockerFailure(
            status: 500, message: "\(prefix)Error starting userland proxy: listen \(kind) \(shown): bind: \(reason)")
    }

    /// Whether a container of this device's own engine has the port.
    private func isPublishedHere(_ port: UInt16, _ isUDP: Bool) async -> Bool {
        let filters: DockerFilters = ["publish": "\(port)/\(isUDP ? "udp" : "tcp")"]
        return await !((try? engineClient?.containers(where: filters, isRunning: true)) ?? []).isEmpty
    }

    func inspected(_ container: JSON, _ route: Route) -> JSON {
        var container = container
        if let labels = container["Config"]?["Labels"] {
            container.update(named: "Config") { $0["Labels"] = presentation.labels(labels, asked: route.labels) }
        }
        if !route.imageID.isEmpty { container["Image"] = .string(route.imageID) }
        let shown = presentation.leased(
            presentation.asked(presentation.inspected(shared(container, at: route.target)), of: route), route)
        return presentation.inspected(
            inspectedMounts(shown, route), of: routes[route.containerID] ?? route,
            publishing: ports.published(route.containerID))
    }

    func listed(_ container: JSON) -> JSON {
        guard let route = container["Id"]?.stringValue.flatMap({ routes[$0] }) else {
            return presentation.listed(container)
        }
        var container = container
        if let labels = container["Labels"] {
            container["Labels"] = presentation.labels(labels, asked: route.labels)
        }
        if !route.imageID.isEmpty { container["ImageID"] = .string(route.imageID) }
        let shown = presentation.leased(
            presentation.listed(inspectedMounts(shared(container, at: route.target), route)), route)
        return presentation.listed(shown, publishing: ports.published(route.containerID))
    }

    private func shared(_ container: JSON, at node: NodeID) -> JSON {
        presentation.sharing(container) { id, name in network(id, named: name, at: node) }
    }

    /// Brings the ports in line with what the container does, as its node tells.
    func followPorts(of route: Route, isRunning: Bool) {
        guard route.publishes else { return }
        guard isRunning else { return ports.close(route.containerID) }
        guard !ports.isOpen(route.containerID) else { return }
        start { [self] in
            do throws(DockerFailure) {
                try await openPorts(of: route)
            } catch {
                logger.error(
                    "a running container's ports are not open",
                    metadata: ["name": "\(route.name)", "reason": "\(error.message)"])
            }
        }
    }
}
