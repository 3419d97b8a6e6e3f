import DockerAPI
import Engine
import Fleet
import LighterTesting
import NIOCore
import Testing

@testable import FrontDoor

@Suite("What containers share")
struct SharingTests {
    @Test("A create names networks and containers as its target does, and keeps its own name as an alias")
    func rewriting() throws {
        let body = try JSON.parse(
            Array(
                #"""
                {"hostconfig":{"NetworkMode":"app","VolumesFrom":["db:ro"],"Links":["db"],"IpcMode":"container:db"},
                "NetworkingConfig":{"EndpointsConfig":{"app":{"Aliases":["w"],"Links":["db:store"]},"bridge":null}}}
                """#.utf8))
        let shared = body.sharing(networks: ["app": "t1"], containers: ["db": "d1"], alias: "web")
        let host = shared.value(named: "HostConfig")
        #expect(host?["NetworkMode"] == "t1")
        #expect(host?["VolumesFrom"] == ["d1:ro"])
        #expect(host?["Links"] == ["d1:db"])
        #expect(host?["IpcMode"] == "container:d1")
        let endpoints = shared["NetworkingConfig"]?["EndpointsConfig"]
        #expect(endpoints?["t1"]?["Aliases"] == ["w", "web"])
        #expect(endpoints?["t1"]?["Links"] == ["d1:store"])
        #expect(endpoints?["bridge"] == .null)
    }

    @Test("A network that only the mode names gets settings of its own, once")
    func modeOnly() throws {
        let body: JSON = ["HostConfig": ["NetworkMode": "app"]]
        let shared = body.sharing(networks: ["app": "t1", "id1": "t1"], containers: [:], alias: "web")
        #expect(shared["NetworkingConfig"]?["EndpointsConfig"] == ["t1": ["Aliases": ["web"]]])
        let both: JSON = [
            "HostConfig": ["NetworkMode": "app"], "NetworkingConfig": ["EndpointsConfig": ["id1": [:]]],
        ]
        let one = both.sharing(networks: ["app": "t1", "id1": "t1"], containers: [:], alias: "web")
        #expect(one["NetworkingConfig"]?["EndpointsConfig"]?.objectValue?.members.count == 1)
    }

    @Test("What is shared is shown by the device's names and ids")
    func presentation() throws {
        let shown: JSON = [
            "HostConfig": [
                "NetworkMode": "app.edge1", "Binds": ["data.edge1:/d", "/srv:/s"],
                "Links": ["/db.edge1:/web.edge1/store"],
            ],
            "Mounts": [["Type": "volume", "Name": "data.edge1"], ["Type": "bind", "Name": "x.edge1"]],
            "NetworkSettings": [
                "Networks": [
                    "app.edge1": ["NetworkID": "t1", "Links": ["db.edge1:store"]], "bridge": ["NetworkID": "b"],
                ]
            ],
        ]
        let presentation = Presentation(origin: try NodeID("edge1"))
        let own = presentation.sharing(shown) { id, _ in id == "t1" ? "n1" : nil }
        #expect(
            own["HostConfig"] == [
                "NetworkMode": "app", "Binds": ["data:/d", "/srv:/s"], "Links": ["/db:/web/store"],
            ])
        #expect(own["Mounts"]?[0]?["Name"] == "data")
        #expect(own["Mounts"]?[1]?["Name"] == "x.edge1")
        #expect(
            own["NetworkSettings"]?["Networks"] == [
                "app": ["NetworkID": "n1", "Links": ["db:store"]], "bridge": ["NetworkID": "b"],
            ])
    }

    @Test("Podman's first network is shown by the name that Docker has for its own")
    func firstNetwork() throws {
        let shown: JSON = ["NetworkSettings": ["Networks": ["podman": ["NetworkID": "podman"]]]]
        let own = Presentation(origin: try NodeID("edge1")).sharing(shown) { _, _ in nil }
        #expect(own["NetworkSettings"]?["Networks"] == ["bridge": ["NetworkID": "podman"]])
    }

    @Test("Bounds that a guard sets are not shown where none were asked for")
    func bounds() throws {
        let asked = try CreateRequest(json: ["HostConfig": ["PidsLimit": 0, "Tmpfs": ["/t": ""]]]).limitsOfOtherNodes
        #expect(asked == ["PidsLimit": "null", "Tmpfs": #"{"/t":""}"#])
        let empty = try CreateRequest(json: [
            "HostConfig": ["PidsLimit": 5, "BlkioWeightDevice": [], "PortBindings": [:]]
        ])
        #expect(empty.limitsOfOtherNodes == ["BlkioWeightDevice": "[]", "PortBindings": "{}"])
        #expect(try CreateRequest(json: ["HostConfig": ["PidsLimit": 50]]).limitsOfOtherNodes.isEmpty)
        var route = Route(
            containerID: "c", name: "n", workload: .random(), epoch: 1, target: try NodeID("cloud1"), ticket: [],
            ticketRenewal: 0, image: "", imageID: "", hasTerminal: false, removesItself: false, createdAt: 0)
        route.asked = asked
        let shown: JSON = ["HostConfig": ["PidsLimit": 4096, "Tmpfs": ["/t": "size=1"], "Memory": 7]]
        let own = Presentation(origin: try NodeID("edge1")).asked(shown, of: route)
        #expect(own["HostConfig"] == ["PidsLimit": .null, "Tmpfs": ["/t": ""], "Memory": 7])
    }

    static func request(target: String? = nil, ties: [String] = []) throws -> WorkloadRequest {
        var request = WorkloadRequest(id: .random(), tenant: .main, origin: try NodeID("edge1"), image: "x", ties: ties)
        request.policy.target = try target.map { try NodeID($0) }
        return request
    }

    @Test("What a container needs draws it; what is in two places refuses it; another target is a contradiction")
    func needs() throws {
        let cloud = try NodeID("cloud1")
        var plan = SharingPlan()
        plan.needs = [(cloud, "volume data is there")]
        var request = try Self.request(target: "cloud2")
        try plan.draw(&request, PolicyOverrides())
        #expect(request.affinity == Affinity(node: cloud, reason: "volume data is there"))
        #expect(request.policy.target == nil)
        var own = PolicyOverrides()
        own.target = try NodeID("cloud2")
        #expect(throws: DockerFailure.self) { try plan.draw(&request, own) }
        plan.needs.append((try NodeID("cloud2"), "container db is there"))
        #expect(throws: DockerFailure.self) { try plan.draw(&request, PolicyOverrides()) }
    }

    @Test("Company draws a container, but not one that names its own place or is tied to its device")
    func company() throws {
        let cloud = try NodeID("cloud1")
        var plan = SharingPlan()
        plan.company = (cloud, "containers of network app are there")
        plan.networks = [.init(id: "n1", name: "app", shown: [:], references: ["app"])]
        var request = try Self.request()
        try plan.draw(&request, PolicyOverrides())
        #expect(request.affinity?.node == cloud)
        var own = PolicyOverrides()
        own.kind = .local
        request = try Self.request()
        try plan.draw(&request, own)
        #expect(request.affinity == nil)
        for kind in [Policy.Kind.remote, .threshold, .completion] {
            own.kind = kind
            request = try Self.request()
            try plan.draw(&request, own)
            #expect(request.affinity?.node == cloud, "\(kind)")
        }
        plan.company?.node = try NodeID("edge1")
        own.kind = .remote
        request = try Self.request()
        try plan.draw(&request, own)
        #expect(request.affinity == nil)
        plan.company?.node = cloud
        request = try Self.request(ties: ["privileged mode"])
        try plan.draw(&request, PolicyOverrides())
        #expect(request.affinity == nil)
        #expect(plan.warnings(at: cloud).isEmpty)
        #expect(plan.warnings(at: try NodeID("edge1")).count == 1)
    }

    @Test("Volumes and twins are known again after a restart")
    @NodeLoop
    func books() throws {
        let folder = try ScratchFolder()
        let path = folder.file("journal.db")
        let cloud = try NodeID("cloud1")
        do {
            let journal = try Journal(path: path)
            let networks = try NetworkBook(journal: journal)
            try networks.put(twin: "t1", of: "n1", named: "app", at: cloud)
            try networks.put(addresses: ["Config": [["Subnet": "10.9.0.0/16"]]], of: "n1")
            try networks.put(twin: "t2", of: "n2", at: cloud)
            try networks.forget("n2")
            let volumes = try VolumeBook(journal: journal)
            try volumes.put(.away(cloud, ["Name": "data"]), for: "data")
            try volumes.put(.unused(["Name": "new"]), for: "new")
            try volumes.put(.unused(["Name": "gone"]), for: "gone")
            try volumes.put(nil, for: "gone")
        }
        let journal = try Journal(path: path)
        let networks = try NetworkBook(journal: journal)
        #expect(networks.ids == ["n1"])
        #expect(networks.twins(of: "n1") == [cloud: "t1"])
        #expect(networks.network(ofTwin: "t1", named: "t1", at: cloud) == "n1")
        #expect(networks.network(ofTwin: "app.edge1", named: "app", at: cloud) == "n1")
        #expect(networks.network(ofTwin: "app.edge1", named: "app", at: try NodeID("cloud2")) == nil)
        #expect(networks.addresses(of: "n1") == ["Config": [["Subnet": "10.9.0.0/16"]]])
        let volumes = try VolumeBook(journal: journal)
        #expect(volumes["data"] == .away(cloud, ["Name": "data"]))
        #expect(volumes["new"] == .unused(["Name": "new"]))
        #expect(volumes["gone"] == nil)
    }

    @Test("A folder is empty only when it is there and holds nothing")
    func folders() throws {
        let folder = try ScratchFolder()
        #expect(FolderLook.isEmpty(folder.path))
        #expect(!FolderLook.isEmpty(folder.file("absent")))
    }

    @Test("The front door's own socket takes the place of the engine's")
    func socket() async throws {
        try await Rig.with { rig in
            let engine = FakeEngine(path: rig.enginePath) { request in
                guard request.line == "POST /containers/create" else { return .json([:], status: 404) }
                return .json(["Id": "c1", "Warnings": []], status: 201)
            }
            try await engine.start()
            let binds = #"["/var/run/docker.sock:/var/run/docker.sock:ro","//var/./run/docker.sock:/d","/srv:/s"]"#
            let body = #"{"Image":"x","HostConfig":{"Binds":\#(binds)}}"#
            #expect(try await rig.post("/containers/create", body).head.contains("201"))
            let sent = try #require(engine.requests.last { $0.line == "POST /containers/create" })
            let passed = try JSON.parse(sent.body)["HostConfig"]?["Binds"]
            #expect(
                passed == [.string("\(rig.socket):/var/run/docker.sock:ro"), .string("\(rig.socket):/d"), "/srv:/s"])
        }
    }
}
