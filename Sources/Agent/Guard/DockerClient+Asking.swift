import DockerAPI
import Engine

extension DockerClient {
    /// The engine's JSON, on a caller's behalf; nil when it knows no such thing.
    /// - Throws: `DockerFailure` when the engine cannot be asked.
    func ask(_ target: String, limit: Int = 4 << 20) async throws(DockerFailure) -> JSON? {
        do throws(EngineError) {
            let answer = try await request("GET", target, limit: limit, timeout: .seconds(30))
            if answer.status == 404 || answer.status == 400 { return nil }
            return try answer.checked().json()
        } catch {
            var failure = error.failure
            // 503 is for a node without room.
            if failure.status == 503 { failure.status = 502 }
            throw failure
        }
    }
}
