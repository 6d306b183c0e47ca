//! Specifications with every field that the engine of this machine takes: one of a service
//! that runs, and one of what cannot run here but is kept all the same.

use serde_json::{Value, json};

/// Names and ids of what the specifications refer to.
pub(crate) struct Things {
    pub(crate) name: String,
    pub(crate) network: String,
    pub(crate) secret: String,
    pub(crate) config: String,
}

/// Two tasks that start at once and sleep.
pub(crate) fn running(things: &Things) -> Value {
    let Things { name, network, secret, config } = things;
    let file = |name: &str| json!({"Name": name, "UID": "7", "GID": "8", "Mode": 256});
    let policy = |order: &str| {
        json!({"Parallelism": 3, "Delay": 1_500_000_000_u64, "FailureAction": "pause", "Monitor": 7_000_000_001_u64,
               "MaxFailureRatio": 0.123, "Order": order})
    };
    let mut rollback = policy("start-first");
    rollback["FailureAction"] = json!("continue");
    json!({
        "Name": name,
        "Labels": {"scalable-backend.test": "autoscaler", "odd": "<&> \u{2028} \"quoted\"", "<&>": ""},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "debian:trixie-slim", "Labels": {"a": "b"}, "Command": ["sleep"], "Args": ["infinity"],
                "Hostname": "h-{{.Task.Slot}}", "Env": ["A=1", "B="], "Dir": "/tmp", "User": "65532:65532",
                "Groups": ["12"], "Privileges": {"SELinuxContext": {"Disable": true}}, "TTY": true, "OpenStdin": true,
                "ReadOnly": true, "Init": true, "StopSignal": "SIGKILL", "StopGracePeriod": 1_000_000_000_u64,
                "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1_048_576, "Mode": 448}},
                           {"Type": "bind", "Source": "/etc/hostname", "Target": "/b", "ReadOnly": true,
                            "BindOptions": {"Propagation": "rprivate", "NonRecursive": true}}],
                "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 1_000_000_000_u64,
                                "Timeout": 5_000_000_000_u64, "Retries": 4, "StartPeriod": 9_000_000_000_u64},
                "Hosts": ["10.9.8.7 elsewhere"],
                "DNSConfig": {"Nameservers": ["9.9.9.9"], "Search": ["example.org"], "Options": ["timeout:3"]},
                "Secrets": [{"File": file("s"), "SecretID": secret, "SecretName": name}],
                "Configs": [{"File": file("/c"), "ConfigID": config, "ConfigName": name}],
                "Isolation": "default", "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
                "CapabilityAdd": ["CAP_NET_BIND_SERVICE"], "CapabilityDrop": ["CAP_MKNOD"],
                "Ulimits": [{"Name": "nofile", "Hard": 2048, "Soft": 1024}],
            },
            "Resources": {"Limits": {"NanoCPUs": 100_000_000, "MemoryBytes": 67_108_864, "Pids": 50},
                          "Reservations": {"NanoCPUs": 1_000_000, "MemoryBytes": 6_291_456}},
            "RestartPolicy": {"Condition": "on-failure", "Delay": 3_000_000_000_u64, "MaxAttempts": 5,
                              "Window": 4_000_000_000_u64},
            "Placement": {"Constraints": ["node.role==manager"], "MaxReplicas": 9,
                          "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
                          "Platforms": [{"Architecture": "x86_64", "OS": "linux"}, {"OS": "linux"}]},
            "Networks": [{"Target": network, "Aliases": ["alias"], "DriverOpts": {"a": "b"}}],
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
            "ForceUpdate": 2,
            "Runtime": "container",
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "UpdateConfig": policy("stop-first"),
        "RollbackConfig": rollback,
        "EndpointSpec": {"Mode": "dnsrr", "Ports": [
            {"Name": "p", "Protocol": "tcp", "TargetPort": 80, "PublishMode": "host"}]},
    })
}

/// Tasks that no node takes: other platforms, devices, drivers and ports than there are here.
pub(crate) fn waiting(things: &Things) -> Value {
    let Things { name, config, .. } = things;
    json!({
        "Name": format!("{name}-waiting"),
        "Labels": {"scalable-backend.test": "autoscaler"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "debian:trixie-slim", "Isolation": "hyperv", "Init": false,
                "Privileges": {
                    "CredentialSpec": {"Config": config, "File": "", "Registry": ""},
                    "SELinuxContext": {"Disable": false, "User": "u", "Role": "r", "Type": "t", "Level": "l"},
                },
                "Configs": [{"Runtime": {}, "ConfigID": config, "ConfigName": name}],
                "Mounts": [
                    {"Type": "volume", "Source": "v", "Target": "/v", "ReadOnly": true, "VolumeOptions": {
                        "NoCopy": true, "Labels": {"a": "b"},
                        "DriverConfig": {"Name": "other", "Options": {"type": "nfs"}}}},
                    {"Type": "volume", "Target": "/anonymous"},
                    {"Type": "npipe", "Source": "\\\\.\\pipe\\x", "Target": "\\\\.\\pipe\\x"},
                ],
            },
            "Resources": {"Reservations": {"GenericResources": [
                {"NamedResourceSpec": {"Kind": "GPU", "Value": "one"}},
                {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 3}}]}},
            "RestartPolicy": {"Condition": "none", "MaxAttempts": 0},
            "Placement": {"Constraints": ["node.labels.never==here"],
                          "Platforms": [{"Architecture": "amd64", "OS": "windows"}],
                          "Preferences": [{"Spread": {"SpreadDescriptor": "engine.labels.x"}}]},
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "EndpointSpec": {"Mode": "dnsrr", "Ports": [
            {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 65_053, "PublishMode": "host"},
            {"Protocol": "sctp", "TargetPort": 54, "PublishedPort": 65_054, "PublishMode": "host"}]},
    })
}
