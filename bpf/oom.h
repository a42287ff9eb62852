/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The record: what oom.bpf.c writes to the ring and src/oomeventer/kernel/record.py reads.
 *
 * Fixed-width types and explicit padding only: `packed` would make the compiler copy byte by byte, and implicit
 * padding would leak kernel stack and differ between machines. A test compares the ctypes mirror with this file as
 * it stands in the object's own BTF. Any change of layout or meaning raises OOM_FORMAT.
 *
 * Text (paths, arguments, environment) follows the fixed part back to back, in the order of the *_length fields.
 * Memory is in pages, as the kernel counts it; times are CLOCK_BOOTTIME nanoseconds, as /proc/PID/stat counts them.
 */
#ifndef OOM_H
#define OOM_H

#define OOM_FORMAT 2
#define OOM_COMM 16          /* TASK_COMM_LEN */
#define OOM_LEVELS 16        /* cgroups of a path, from the root down; a Pod's container in a kind node is at 7 */
#define OOM_COMPONENT 256    /* NAME_MAX + 1: one directory name of a cgroup path */
#define OOM_PATH 4096        /* OOM_LEVELS * OOM_COMPONENT */
#define OOM_ARGUMENTS 4096   /* what is kept of the arguments ... */
#define OOM_ENVIRONMENT 8192 /* ... and of the environment: a Pod's own variables precede its service links */

enum oom_kind {
	OOM_KIND_MARK = 1,      /* struct oom_mark: a victim was chosen */
	OOM_KIND_ARGUMENTS = 2, /* struct oom_arguments: what could not be read when it was, or the end of a group */
};

enum oom_flag {
	OOM_CGROUP_CUT = 1 << 0,         /* the deepest components are missing; without any, all of them */
	OOM_TRIGGER_CGROUP_CUT = 1 << 1, /* likewise */
	OOM_LEVELS_CUT = 1 << 2,         /* level[0] is an ancestor of the victim's memcg: what the path ends in */
	OOM_ARGUMENTS_CUT = 1 << 3,
	OOM_ENVIRONMENT_CUT = 1 << 4,
	OOM_ARGUMENTS_FOLLOW = 1 << 5,   /* an oom_arguments record is to come */
	OOM_ARGUMENTS_UNREADABLE = 1 << 6, /* a page of them was not in memory */
	OOM_ENVIRONMENT_UNREADABLE = 1 << 7,
	OOM_UNIFIED = 1 << 8,            /* the memory controller is on cgroup v2 */
	OOM_TRIGGER_SAME_CGROUP = 1 << 9, /* trigger_cgroup is the victim's and was not written twice */
	OOM_LOCKS_KNOWN = 1 << 10,       /* this kernel has OOM_LEVEL_LOCKED */
	OOM_DOMAIN_KNOWN = 1 << 11,      /* domain_inode is the kernel's own word */
	OOM_ARGUMENTS_OMITTED = 1 << 12, /* neither arguments nor environment: the ring was half full */
};

enum oom_level_flag {
	OOM_LEVEL_GROUP = 1 << 0,  /* memory.oom.group */
	OOM_LEVEL_LOCKED = 1 << 1, /* mem_cgroup.oom_lock: this memcg or an ancestor is being OOM-handled now */
};

struct oom_header {
	__u16 format; /* OOM_FORMAT */
	__u16 kind;   /* enum oom_kind */
	__u32 size;   /* of the whole record, text included */
	__u64 time_ns;
	__u64 lost;   /* records that found the ring full since the object was loaded */
};

struct oom_level {
	__u64 inode; /* of the cgroup's directory */
	__u64 usage_pages;
	__u64 limit_pages; /* PAGE_COUNTER_MAX and above: none */
	__u64 peak_pages;
	__u64 swap_usage_pages; /* v2: swap; v1: memory + swap */
	__u64 swap_limit_pages;
	__u64 ooms; /* times that its limit ran out so far: memory_events_local[MEMCG_OOM] */
	__u32 flags; /* enum oom_level_flag */
	__u32 padding;
};

struct oom_mark {
	struct oom_header header;
	__u32 flags; /* enum oom_flag */
	/* the victim */
	__u32 tgid;
	__u32 tid;     /* of the thread that the kernel marked */
	__u32 ns_tgid; /* tgid in the victim's own pid namespace */
	__u32 ns_level; /* of that namespace: 0 is the host's */
	__u32 uid;     /* in the initial user namespace */
	__s32 oom_score_adj;
	__u32 init_tgid; /* PID 1 of the victim's pid namespace, as the host numbers it */
	__u64 start_ns;
	__u64 init_start_ns;
	__u64 init_inode; /* of the memcg that PID 1 is in */
	__u64 domain_inode; /* of the memcg that ran out; 0: none, the node did */
	__u64 total_vm_pages;
	__u64 anon_pages;
	__u64 file_pages;
	__u64 shmem_pages;
	__u64 swap_pages;
	__u64 peak_rss_pages;
	__u64 pgtables_bytes;
	/* the trigger: whose allocation set the kill off */
	__u64 trigger_start_ns;
	__u32 trigger_tgid;
	__u32 trigger_tid;
	char comm[OOM_COMM]; /* the thread group leader's */
	char trigger_comm[OOM_COMM];
	/* lengths of the text behind the fixed part, in this order */
	__u32 cgroup_length;         /* components, the deepest first, each ended by a NUL */
	__u32 trigger_cgroup_length; /* likewise */
	__u32 arguments_length;
	__u32 environment_length;
	__u32 levels; /* used of level[], the victim's own memcg first, the root, which has no limit, last where it fits */
	__u32 padding;
	struct oom_level level[OOM_LEVELS]; /* behind those that are used: what an earlier record had there */
};

struct oom_arguments {
	struct oom_header header;
	__u64 start_ns;
	__u32 tgid;
	__u32 flags; /* enum oom_flag */
	__u32 arguments_length;
	__u32 environment_length;
};

#endif
