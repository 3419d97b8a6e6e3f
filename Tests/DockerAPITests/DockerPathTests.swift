import DockerAPI
import Testing

@Suite("Paths of the Docker API")
struct DockerPathTests {
    static let routes: [(String, String, DockerRoute)] = [
        ("GET", "/_ping", .ping), ("HEAD", "/v1.41/_ping", .ping), ("GET", "/v1.24/version", .version),
        ("GET", "/info", .info), ("GET", "/events?since=1", .events), ("GET", "/system/df", .diskUsage),
        ("POST", "/auth", .auth), ("GET", "/v1.50/containers/json?all=1", .containerList),
        ("POST", "/containers/create", .containerCreate(name: nil)),
        ("POST", "/containers/create?name=", .containerCreate(name: nil)),
        ("POST", "/containers/create?name=we%62", .containerCreate(name: "web")),
        ("POST", "/containers/prune", .containerPrune),
        ("DELETE", "/containers/web?force=1", .container(ref: "web", action: "")),
        ("GET", "/containers/web/json", .container(ref: "web", action: "json")),
        ("GET", "/containers/web%2Fdb/json", .container(ref: "web/db", action: "json")),
        ("GET", "/containers/json/json", .container(ref: "json", action: "json")),
        ("PUT", "/containers/web/archive?path=/", .container(ref: "web", action: "archive")),
        ("HEAD", "/containers/web/archive", .container(ref: "web", action: "archive")),
        ("GET", "/containers/web/attach/ws", .container(ref: "web", action: "attach/ws")),
        ("POST", "/containers/web/exec", .container(ref: "web", action: "exec")),
        ("GET", "/containers/web/checkpoints", .container(ref: "web", action: "checkpoints")),
        ("DELETE", "/containers/web/checkpoints/c", .container(ref: "web", action: "checkpoints")),
        ("POST", "/exec/abc/start", .exec(id: "abc", action: "start")),
        ("GET", "/exec/abc/json", .exec(id: "abc", action: "json")), ("DELETE", "/exec/abc", .other),
        ("GET", "/images/json", .imageList), ("POST", "/images/create?fromImage=a", .imageCreate),
        ("GET", "/lighter/images", .imageHoldings), ("GET", "/lighter/mounts", .mountStates),
        ("GET", "/lighter/node", .nodeState),
        ("POST", "/lighter/layers", .missingLayers), ("GET", "/lighter/layers", .other),
        ("POST", "/lighter/image", .sparseImage), ("POST", "/lighter/chunks", .missingChunks),
        ("GET", "/lighter/image", .other),
        ("POST", "/images/load", .imageLoad), ("GET", "/images/get?names=a", .imageSave),
        ("GET", "/images/a/b/c:v1/json", .image(ref: "a/b/c:v1", action: "json")),
        ("GET", "/images/a/get", .image(ref: "a", action: "get")),
        ("GET", "/images/reg:5000/a/history", .image(ref: "reg:5000/a", action: "history")),
        ("POST", "/images/a/b/push", .image(ref: "a/b", action: "push")),
        ("DELETE", "/images/a/b", .image(ref: "a/b", action: "")), ("GET", "/images/search?term=a", .imageSearch),
        ("GET", "/distribution/a/b/json", .distribution(ref: "a/b")), ("POST", "/build?t=a", .build),
        ("POST", "/build/prune", .buildPrune), ("POST", "/session", .session), ("POST", "/grpc", .grpc),
        ("GET", "/volumes", .volumeList), ("POST", "/volumes/create", .volumeCreate),
        ("DELETE", "/volumes/v", .volume(name: "v")), ("GET", "/networks", .networkList),
        ("GET", "/networks/n", .network(ref: "n", action: "")),
        ("POST", "/networks/n/connect", .network(ref: "n", action: "connect")),
        ("POST", "/networks/create", .networkCreate), ("GET", "/swarm", .swarm), ("GET", "/services/a/logs", .swarm),
        ("GET", "/plugins", .plugins), ("POST", "/commit?container=a", .commit),
    ]

    @Test("Each path has its route", arguments: routes)
    func route(_ method: String, _ target: String, _ expected: DockerRoute) {
        #expect(DockerPath.parse(method: method, target: target).route == expected)
    }

    @Test(
        "What the engine would not route, or would redirect, is no route",
        arguments: [
            ("GET", "/"), ("GET", "/containers//json"), ("GET", "/containers/../images/json"),
            ("GET", "/containers/x/%2e%2e/json"), ("GET", "/containers/json/"), ("GET", "/containers/create"),
            ("PATCH", "/containers/a/json"), ("DELETE", "/containers"), ("GET", "/containers/a%00/json"),
            ("GET", "/nothing"), ("POST", "/containers/a/nothing"), ("GET", "/v1.41"), ("GET", "/images"),
            ("GET", "/containers/a%2/json"),
        ])
    func noRoute(_ method: String, _ target: String) {
        #expect(DockerPath.parse(method: method, target: target).route == .other)
    }

    @Test("The version is what stands after the v")
    func version() {
        #expect(DockerPath.parse(method: "GET", target: "/v1.41/info").apiVersion == "1.41")
        #expect(DockerPath.parse(method: "GET", target: "/info").apiVersion == nil)
        #expect(DockerPath.parse(method: "GET", target: "/version").apiVersion == nil)
        #expect(DockerPath.parse(method: "GET", target: "/vx/info").apiVersion == nil)
    }
}

@Suite("Queries")
struct QueryTests {
    @Test("A query is decoded, edited and encoded again")
    func edit() {
        var query = Query("a=1&b=x+y%26z&a=2&c&=e&bad=%zz")
        #expect(query.first("b") == "x y&z")
        #expect(query.all("a") == ["1", "2"])
        #expect(query.first("c") == "")
        #expect(query.first("bad") == nil)
        query.set("a", "3")
        query.remove("c")
        query.remove("")
        #expect(query.encoded == "a=3&b=x%20y%26z")
        #expect(query.target("/p") == "/p?a=3&b=x%20y%26z")
        #expect(Query().target("/p") == "/p")
        #expect(Query(query.encoded) == query)
    }

    @Test(
        "Flags are read as Docker reads them",
        arguments: [("1", true), ("true", true), ("0", false), ("False", false), ("", false)])
    func flags(_ value: String, _ expected: Bool) {
        #expect(Query("all=\(value)").flag("all") == expected)
    }

    @Test("Both forms of filters say the same")
    func filters() throws {
        let new = try DockerFilters(#"{"label":{"a=b":true,"c":true,"d":false},"name":{"x":true}}"#)
        let old = try DockerFilters(#"{"label":["a=b","c"],"name":["x"]}"#)
        #expect(new == old)
        #expect(try DockerFilters(new.encoded) == new)
        #expect(new.values("label") == ["a=b", "c"])
        var query = Query("all=1")
        query.setFilters(new)
        #expect(try Query(query.encoded).filters() == new)
    }

    @Test("What is no filter is refused", arguments: ["[]", "{", #"{"a":1}"#, #"{"a":[1]}"#, #"{"a":{"b":"c"}}"#])
    func badFilters(_ text: String) {
        #expect(#expect(throws: DockerFailure.self) { try DockerFilters(text) }?.status == 400)
    }
}
