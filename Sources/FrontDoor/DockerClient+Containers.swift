internal import DockerAPI
internal import Engine

extension DockerClient {
    /// Elements of `GET /containers/json`.
    /// - Parameter isRunning: whether it must have a process, be that held still or about to be started again.
    func containers(where filters: DockerFilters, isRunning: Bool = false) async throws(EngineError) -> [JSON] {
        var query = Query()
        if !isRunning { query.set("all", "1") }
        query.setFilters(filters)
        guard let found = try await request("GET", query.target("/containers/json")).checked().json().arrayValue else {
            throw EngineError(.malformed, "the engine's list of containers is none")
        }
        return found
    }
}
