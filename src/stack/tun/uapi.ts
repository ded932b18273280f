// The numbers of tun's interface to programs: flags, limits and ioctl requests (include/uapi/linux/if_tun.h), the three
// requests that the steering RFC of 2017 proposed, and those that the RSS proposal of 2024/25 did.
//
// An ioctl number is direction (2 bits), size of the argument (14), type 'T' (8), number (8). Two proposals use numbers that
// were given to other requests later: TUNGETSTEERING is 0x800454e1, which is TUNSETFILTEREBPF today. A number alone always means
// the merged request; the proposed one has a private number here, or is called by its name (ioctl.ts).

/** Flags of TUNSETIFF and TUNGETIFF. */
export const IFF_TUN = 0x0001;
export const IFF_TAP = 0x0002;
export const IFF_NAPI = 0x0010;
export const IFF_NAPI_FRAGS = 0x0020;
export const IFF_NO_CARRIER = 0x0040;
export const IFF_MULTI_QUEUE = 0x0100;
export const IFF_ATTACH_QUEUE = 0x0200;
export const IFF_DETACH_QUEUE = 0x0400;
export const IFF_PERSIST = 0x0800;
export const IFF_NO_PI = 0x1000;
/** The same bit in TUNGETIFF's answer: no socket filter is attached. */
export const IFF_NOFILTER = 0x1000;
export const IFF_ONE_QUEUE = 0x2000;
export const IFF_VNET_HDR = 0x4000;
export const IFF_TUN_EXCL = 0x8000;

/** Flags that TUNSETIFF can set (TUN_FEATURES). */
export const TUN_FEATURES =
  IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_NAPI | IFF_NAPI_FRAGS;

/** Attached and disabled queues of a device together. */
export const MAX_TAP_QUEUES = 256;
/** struct virtio_net_hdr, bytes: the smallest vnet header. */
export const VNET_HDR_BYTES = 10;
/** struct virtio_net_hdr_v1_hash, bytes: what hash reporting needs. */
export const VNET_HDR_HASH_BYTES = 20;
/** struct tun_pi, bytes. */
export const PI_BYTES = 4;
/** tun_pi.flags: the packet did not fit. */
export const TUN_PKT_STRIP = 0x0001;

/** RFC v1: values of the steering policies, and what TUNGETSTEERINGFEATURES answers. */
export const TUN_STEERING_AUTOMQ = 0x01;
export const TUN_STEERING_CPU = 0x02;
export const TUN_STEERING_FEATURES = TUN_STEERING_AUTOMQ | TUN_STEERING_CPU;
/** Private: what TUNGETSTEERING answers while TUNSETVNETHASH has switched RSS on. */
export const TUN_STEERING_RSS = 0x04;

/** TUNSETVNETHASH: flags and hash types (virtio's bits). */
export const TUN_VNET_HASH_REPORT = 0x01;
export const TUN_VNET_HASH_RSS = 0x02;
export const HASH_TYPE_IPV4 = 0x01;
export const HASH_TYPE_TCPV4 = 0x02;
export const HASH_TYPE_UDPV4 = 0x04;
export const HASH_TYPE_IPV6 = 0x08;
export const HASH_TYPE_TCPV6 = 0x10;
export const HASH_TYPE_UDPV6 = 0x20;
export const HASH_TYPES_ALL = 0x3f;
/** Largest indirection table of RSS (the proposal's bound), and its key, bytes. */
export const RSS_TABLE_MAX = 128;
export const RSS_KEY_BYTES = 40;

/** Requests by name. All arguments but those marked "value" are buffers (user memory). */
export const TUN_IOCTLS = {
  TUNSETNOCSUM: 0x400454c8, // value
  TUNSETDEBUG: 0x400454c9, // value
  TUNSETIFF: 0x400454ca, // struct ifreq
  TUNSETPERSIST: 0x400454cb, // value
  TUNSETOWNER: 0x400454cc, // value
  TUNSETLINK: 0x400454cd, // value
  TUNSETGROUP: 0x400454ce, // value
  TUNGETFEATURES: 0x800454cf,
  TUNSETOFFLOAD: 0x400454d0, // value
  TUNSETTXFILTER: 0x400454d1, // struct tun_filter
  TUNGETIFF: 0x800454d2, // struct ifreq
  TUNGETSNDBUF: 0x800454d3,
  TUNSETSNDBUF: 0x400454d4,
  TUNATTACHFILTER: 0x401054d5, // struct sock_fprog: here the instructions themselves, 8 bytes each
  TUNDETACHFILTER: 0x401054d6, // value
  TUNGETVNETHDRSZ: 0x800454d7,
  TUNSETVNETHDRSZ: 0x400454d8,
  TUNSETQUEUE: 0x400454d9, // struct ifreq
  TUNSETIFINDEX: 0x400454da,
  TUNGETFILTER: 0x801054db,
  TUNSETVNETLE: 0x400454dc,
  TUNGETVNETLE: 0x800454dd,
  TUNSETVNETBE: 0x400454de,
  TUNGETVNETBE: 0x800454df,
  TUNSETSTEERINGEBPF: 0x800454e0, // pointer to int
  TUNSETFILTEREBPF: 0x800454e1, // pointer to int
  TUNSETCARRIER: 0x400454e2,
  TUNGETDEVNETNS: 0x000054e3,
  // The RSS proposal (number and layout from memory of one revision).
  TUNGETVNETHASHCAP: 0x800854e4, // struct tun_vnet_hash
  TUNSETVNETHASH: 0x400854e5, // struct tun_vnet_hash and what follows it
  // The steering RFC; GET under a private number (the proposed one is TUNSETFILTEREBPF).
  TUNSETSTEERING: 0x400454e0,
  TUNGETSTEERING: 0x800454f1,
  TUNGETSTEERINGFEATURES: 0x800454e2,
} as const;
export type TunIoctlName = keyof typeof TUN_IOCTLS;

/** Offloads that TUNSETOFFLOAD may name (TUN_F_*): checksum, TSO4, TSO6, ECN, UFO, USO4, USO6. */
export const TUN_OFFLOADS = 0x7f;

/** struct ifreq: its size, and where the flags stand, bytes. */
export const IFREQ_BYTES = 40;
export const IFNAMSIZ = 16;

/** poll(2) bits. */
export const POLLIN = 0x001;
export const POLLOUT = 0x004;
export const POLLERR = 0x008;
