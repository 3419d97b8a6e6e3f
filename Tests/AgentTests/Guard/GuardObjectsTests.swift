import DockerAPI
import Engine
import Fleet
import Testing

@testable import Agent

@Suite("Networks and volumes of other nodes")
@NodeLoop
struct GuardObjectsTests {
    static let twin = String(repeating: "7e", count: 32)

    static func owned(by origin: String, tenant: String = "main") -> JSON {
        [
            "Id": .string(twin), "Name": "app.edge1",
            "Labels": ["io.lighter.origin": .string(origin), "io.lighter.tenant": .string(tenant)],
        ]
    }

    @Test("makes a network under the caller's name and labels, whatever the caller says of them")
    func network() async throws {
        try await withGuard { rig, engine in
            engine.answer = { $0.head.method == "GET" ? .json([]) : .json(["Id": .string(Self.twin)], status: 201) }
            let client = try await rig.connect()
            let body = #"{"Name":"app","Driver":"bridge","Labels":{"a":"b","io.lighter.tenant":"theirs"}}"#
            #expect(try await client.call("POST", "/v1.41/networks/create", body: body)?.status == 201)
            let made = try #require(engine.calls.last)
            #expect(made.head.target == "/v1.41/networks/create")
            #expect(made.json?["Name"] == "app.edge1")
            #expect(made.json?["CheckDuplicate"] == true)
            #expect(
                made.json?["Labels"] == ["a": "b", "io.lighter.tenant": "main", "io.lighter.origin": "edge1"])
        }
    }

    @Test(
        "does not make what would reach into this node",
        arguments: [
            ("networks", #"{"Name":"a","Driver":"macvlan"}"#), ("networks", #"{"Name":"a","Driver":"host"}"#),
            ("networks", #"{"Name":"a","Ingress":true}"#), ("networks", #"{"Name":"a","ConfigOnly":true}"#),
            ("networks", #"{"Name":"a","Options":{"com.docker.network.bridge.name":"docker0"}}"#),
            ("networks", #"{"Name":"a","Options":{"com.docker.network.bridge.host_binding_ipv4":"1.1.1.1"}}"#),
            ("networks", #"{"Name":"a","IPAM":{"Driver":"dhcp"}}"#),
            ("networks", #"{"Name":"a","IPAM":{"Config":[{"Subnet":"8.8.8.0/24"}]}}"#),
            ("networks", #"{"Name":"a","IPAM":{"Config":[{"Subnet":"0.0.0.0/1"}]}}"#),
            ("volumes", #"{"Name":"a","Driver":"nfs"}"#),
            ("volumes", #"{"Name":"a","DriverOpts":{"type":"none","o":"bind","device":"/"}}"#),
        ])
    func refused(kind: String, body: String) async throws {
        try await withGuard { rig, engine in
            let client = try await rig.connect()
            #expect(try await client.call("POST", "/\(kind)/create", body: body)?.status == 403)
            #expect(engine.calls.isEmpty)
        }
    }

    @Test("keeps this node's own addresses out of a network of others")
    func ownAddress() throws {
        var profile = CreateProfile(policy: GuardPolicy(), node: try NodeID("cloud1"))
        profile.ownAddresses = [Address("10.1.2.3")].compactMap(\.self)
        for (subnet, isAdmitted) in [("10.1.0.0/16", false), ("10.2.0.0/16", true), ("nonsense", false)] {
            let body: JSON = ["Name": "a", "IPAM": ["Config": [["Subnet": .string(subnet)]]]]
            let admitted = (try? CreateSanitizer.networkObject.rebuild(body, at: "", in: profile)) != nil
            #expect(admitted == isAdmitted, "\(subnet)")
        }
    }

    @Test("shows and removes nobody's objects but the caller's", arguments: ["edge1", "edge2"])
    func othersObjects(owner: String) async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(Self.owned(by: owner)) }
            let client = try await rig.connect()
            let isOwn = owner == "edge1"
            for (method, target) in [
                ("GET", "/networks/app"), ("DELETE", "/networks/\(Self.twin)"), ("GET", "/volumes/data"),
            ] {
                #expect(try await client.call(method, target)?.status == (isOwn ? 200 : 404), "\(method) \(target)")
            }
            #expect(engine.paths().contains("DELETE /networks/\(Self.twin)") == isOwn)
        }
    }

    @Test("tells of the disk what the caller's own volumes take, and nothing else")
    func usage() async throws {
        try await withGuard { rig, engine in
            let usage: JSON = [
                "Images": [["Id": "i"]], "Containers": [["Id": "c"]],
                "Volumes": [Self.owned(by: "edge1"), Self.owned(by: "edge2"), ["Name": "theirs", "Labels": .null]],
            ]
            engine.answer = { _ in .json(usage) }
            let client = try await rig.connect()
            let answer = try #require(try await client.call("GET", "/system/df"))
            #expect(try JSON.parse(Array(answer.body.utf8)) == ["Volumes": [Self.owned(by: "edge1")]])
        }
    }

    @Test("bounds how many an origin may have")
    func limit() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(.array((0..<Guard.objectLimit).map { _ in Self.owned(by: "edge1") })) }
            let client = try await rig.connect()
            let refusal = try await client.call("POST", "/networks/create", body: #"{"Name":"one-more"}"#)
            #expect(refusal?.status == 403)
            #expect(refusal?.message.contains("at most 256 networks") == true)
        }
    }

    @Test("connects the ticket's own container to the caller's own network, by their ids here")
    func connect() async throws {
        try await withGuard { rig, engine in
            rig.know(GuardCreateTests.id)
            engine.answer = { _ in .json(Self.owned(by: "edge1")) }
            let client = try await rig.connect(ticket: rig.ticket())
            let body = #"{"Container":"web","EndpointConfig":{"Aliases":["w"],"IPAddress":"1.2.3.4"}}"#
            #expect(try await client.call("POST", "/networks/app/connect", body: body)?.status == 200)
            let made = try #require(engine.calls.last)
            #expect(made.head.target == "/networks/\(Self.twin)/connect")
            #expect(made.json == ["EndpointConfig": ["Aliases": ["w"]], "Container": .string(GuardCreateTests.id)])
            #expect(try await client.call("POST", "/networks/bridge/disconnect", body: body)?.status == 200)
            #expect(engine.calls.last?.head.target == "/networks/bridge/disconnect")
            let address = #"{"Container":"web","EndpointConfig":{"IPAMConfig":{"IPv4Address":"172.17.0.9"}}}"#
            #expect(try await client.call("POST", "/networks/bridge/connect", body: address)?.status == 403)
            let other = #"{"Container":"theirs"}"#
            #expect(try await client.call("POST", "/networks/app/connect", body: other)?.status == 404)
        }
    }
}

@Suite("Addresses")
struct AddressPrefixTests {
    @Test(
        "A prefix holds what shares its bits",
        arguments: [
            ("10.0.0.0/8", "10.255.1.2", true), ("10.0.0.0/8", "11.0.0.1", false),
            ("172.16.0.0/12", "172.31.255.255", true), ("172.16.0.0/12", "172.32.0.0", false),
            ("fd00::/8", "fd12::1", true), ("fd00::/8", "10.0.0.1", false), ("192.0.2.7/32", "192.0.2.7", true),
        ])
    func contains(prefix: String, address: String, isIn: Bool) throws {
        #expect(try #require(AddressPrefix(prefix)).contains(#require(Address(address))) == isIn)
    }

    @Test(
        "Only private ranges are private, and only prefixes are prefixes",
        arguments: [
            ("10.1.0.0/16", true), ("172.20.0.0/16", true), ("192.168.0.0/15", false), ("8.0.0.0/8", false),
            ("100.64.0.0/10", true), ("fd00:1::/64", true), ("2001:db8::/32", false),
        ])
    func isPrivate(prefix: String, isPrivate: Bool) throws {
        #expect(try #require(AddressPrefix(prefix)).isPrivate == isPrivate)
        for text in ["10.0.0.0", "10.0.0.0/0", "10.0.0.0/33", "x/8", "10.0.0/8", ""] {
            #expect(AddressPrefix(text) == nil)
        }
    }
}
