package import DockerAPI
package import Fleet

/// What an engine says of itself and its machine.
package struct EngineIdentity: Sendable, Hashable {
    package var version: String
    package var apiVersion: String
    package var minimumAPIVersion: String
    /// `linux/amd64`.
    package var platform: String
    package var cpus: Int
    package var memory: ByteCount
    /// Where the engine keeps its data; what the node's free disk is measured on.
    package var dataRoot: String
    /// The engine's own id, which changes when it is installed anew.
    package var id: String
    package var name: String
    package var operatingSystem: String
    package var isPodman: Bool
    /// `overlay2`, `overlayfs`…
    package var storageDriver: String
    /// Runtimes that a container may name.
    package var runtimes: [String]
    /// The one of them that a container gets which names none; empty where the engine does not say.
    package var defaultRuntime: String

    package init(version: JSON, info: JSON) {
        func text(_ json: JSON, _ name: String) -> String { json.value(named: name)?.stringValue ?? "" }
        self.version = text(version, "Version")
        apiVersion = text(version, "ApiVersion")
        minimumAPIVersion = text(version, "MinAPIVersion")
        platform = "\(text(version, "Os"))/\(text(version, "Arch"))"
        cpus = Int(clamping: info.value(named: "NCPU")?.intValue ?? 0)
        memory = ByteCount(info.value(named: "MemTotal")?.intValue ?? 0)
        dataRoot = text(info, "DockerRootDir")
        id = text(info, "ID")
        name = text(info, "Name")
        operatingSystem = text(info, "OperatingSystem")
        let components = version.value(named: "Components")?.arrayValue ?? []
        isPodman = components.contains { text($0, "Name").hasPrefix("Podman") }
        storageDriver = text(info, "Driver")
        defaultRuntime = text(info, "DefaultRuntime")
        runtimes = info.value(named: "Runtimes")?.objectValue?.keys.sorted() ?? []
    }

    /// The API version to ask this engine in for what was asked in `version`: none that it does not speak any more.
    package func spoken(_ version: String) -> String {
        func numbers(_ text: String) -> [Int] { text.split(separator: ".").map { Int($0) ?? 0 } }
        return numbers(version).lexicographicallyPrecedes(numbers(minimumAPIVersion)) ? minimumAPIVersion : version
    }

    package var capacity: Resources { Resources(cpus: Double(cpus), memory: memory) }

    /// Asks the engine behind `client`.
    @NodeLoop
    package static func read(_ client: DockerClient, timeout: Duration? = nil) async throws(EngineError)
        -> EngineIdentity
    {
        let version = try await client.request("GET", "/version", timeout: timeout).checked().json()
        let info = try await client.request("GET", "/info", timeout: timeout).checked().json()
        return EngineIdentity(version: version, info: info)
    }
}
