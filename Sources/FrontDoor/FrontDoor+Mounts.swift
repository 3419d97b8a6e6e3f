internal import DockerAPI
internal import Engine
internal import Fleet
internal import Link
internal import Logging
internal import NIOCore
internal import Session

/// Bind mounts of containers elsewhere: mirrored before the start, and live while it runs.
extension FrontDoor {
    /// - Parameter isFirst: whether the container has never run: what it writes itself is not bounded.
    /// - Throws: the failure that the start is answered with: 503 where the link to the node broke, or there was none.
    func synchroniseMounts(of route: Route, isFirst: Bool = false) async throws(DockerFailure) {
        ended.forget(route.containerID)
        for mount in route.mounts {
            let link = control.existingLink(to: route.target)
            do {
                try await synchronise(mount, of: route, isBounded: isFirst)
            } catch {
                leaveMounts(of: route)
                throw DockerFailure(
                    status: isGone(link, to: route.target) ? 503 : 500,
                    message: "lighter: \(mount.source) could not be brought to node \(route.target): \(error)")
            }
        }
    }

    /// Whether a link was none, or is another by now.
    func isGone(_ link: LinkConnection?, to node: NodeID) -> Bool {
        link == nil || control.existingLink(to: node) !== link
    }

    func synchronise(_ mount: MirroredMount, of route: Route, isBounded: Bool = false) async throws {
        guard let mounts else { throw FrontDoorError(.unreachable, "this device does not mirror mounts any more") }
        var dialer = dialer(to: routes[route.containerID] ?? route, purpose: "mount")
        dialer.kind = .mount(source: mount.source, isFile: mount.isFile)
        try await mounts.synchronise(mount, at: route.target, for: route.containerID, isBounded: isBounded, dialer)
    }

    func leaveMounts(of route: Route) {
        for mount in route.mounts { mounts?.leave(mount, at: route.target, by: route.containerID) }
    }

    /// Follows a container that runs already, after a restart of the daemon or of the container.
    func followMounts(of route: Route) {
        guard !route.mounts.isEmpty else { return }
        start { [self] in
            do throws(DockerFailure) {
                try await synchroniseMounts(of: route)
            } catch {
                logger.warning("a running container's mounts are not live", metadata: ["reason": "\(error.message)"])
            }
        }
    }

    /// `GET /lighter/mounts`: `[{"Source", "Node", "State": "first sync"|"synchronising"|"live", "Containers": [ID],
    /// "Paths": {"Planned", "Done"}, "Bytes": {"Sent", "Received"}, "Conflicts", "Notices": [TEXT]}]`. Bytes are those of the
    /// link, paths and bytes count from the session's begin; only mounts in use are told of.
    func mountStates() async -> Job.Outcome {
        await answering { DockerResponse(json: .array(mounts?.shown ?? [])) }
    }

    /// `GET /containers/ID/json`, with the device's own paths.
    func inspectedMounts(_ container: JSON, _ route: Route) -> JSON {
        var container = withoutNamesOfUnnamed(container, route)
        guard !route.mounts.isEmpty else { return container }
        let sources = Dictionary(route.mounts.map { ($0.target.cleanedPath, $0.source) }) { first, _ in first
        }
        if let listed = container["Mounts"]?.arrayValue {
            container["Mounts"] = .array(
                listed.map { mount in
                    guard let source = mount["Destination"]?.stringValue.flatMap({ sources[$0] }) else { return mount }
                    var mount = mount
                    mount["Source"] = .string(source)
                    return mount
                })
        }
        container.update(named: "HostConfig") { host in
            if let binds = host["Binds"]?.arrayValue {
                host["Binds"] = .array(
                    binds.map { bind in
                        var parts = (bind.stringValue ?? "").split(separator: ":", omittingEmptySubsequences: false)
                            .map(String.init)
                        guard parts.count > 1, let source = sources[parts[1].cleanedPath] else { return bind }
                        parts[0] = source
                        return .string(parts.joined(separator: ":"))
                    })
            }
            if let mounts = host["Mounts"]?.arrayValue {
                host["Mounts"] = .array(
                    mounts.map { mount in
                        guard
                            let source = mount["Target"]?.stringValue.flatMap({ sources[$0.cleanedPath] })
                        else { return mount }
                        var mount = mount
                        mount["Source"] = .string(source)
                        return mount
                    })
            }
        }
        return container
    }

    /// Volumes without names are named in a create after a move; its user never did.
    private func withoutNamesOfUnnamed(_ container: JSON, _ route: Route) -> JSON {
        guard !route.anonymousVolumes.isEmpty, let mounts = container["HostConfig"]?["Mounts"]?.arrayValue else {
            return container
        }
        let kept = mounts.filter { mount in
            mount["Source"]?.stringValue.map { !route.anonymousVolumes.contains(presentation.name($0)) } ?? true
        }
        var container = container
        container.update(named: "HostConfig") { $0["Mounts"] = kept.isEmpty ? nil : .array(kept) }
        return container
    }
}
