/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The few kernel types that oom.bpf.c reads, each with only the fields that it reads. libbpf finds the real offsets
 * in the running kernel's BTF (CO-RE). Where kernels differ, both forms stand here as flavours (___name), headed by
 * what changed, and oom.bpf.c asks whether the field exists, never for a version: backports make versions lie.
 * Every type named here must exist in vmlinux's BTF: for one that does not, libbpf opens the modules' BTF, which
 * takes CAP_SYS_ADMIN.
 */
#ifndef OOM_KERNEL_H
#define OOM_KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__s64 counter;
} atomic64_like;

struct hlist_node {
	struct hlist_node *next;
};
struct hlist_head {
	struct hlist_node *first;
};

struct xa_node {
	unsigned char shift;
	void *slots[64];
};
struct xarray {
	void *xa_head;
};
struct idr {
	struct xarray idr_rt;
};

struct task_struct;

struct pid_namespace {
	struct idr idr;
	struct task_struct *child_reaper;
};
struct upid {
	int nr;
	struct pid_namespace *ns;
};
struct pid {
	unsigned int level;
	struct hlist_head tasks[4];
	struct upid numbers[1];
};

typedef struct {
	unsigned int val;
} kuid_t;
struct cred {
	kuid_t uid;
};
struct signal_struct {
	int group_exit_code;
	short oom_score_adj;
};

struct percpu_counter {
	__s64 count;
};
struct mm_struct {
	unsigned long total_vm;
	unsigned long hiwater_rss;
	atomic64_like pgtables_bytes;
	unsigned long arg_start, arg_end, env_start, env_end;
};
/* 6.2-rc1, f1a7941243c1: rss counters became per-CPU ones. */
struct mm_struct___percpu {
	struct percpu_counter rss_stat[4];
};
struct mm_rss_stat {
	atomic64_like count[4];
};
struct mm_struct___plain {
	struct mm_rss_stat rss_stat;
};

struct cgroup_root {
	int hierarchy_id;
};
struct kernfs_node {
	const char *name;
	__u64 id;
};
/* 6.15-rc1, 633488947ef6: parent became __parent, under RCU. */
struct kernfs_node___rcu {
	struct kernfs_node *__parent;
};
struct kernfs_node___plain {
	struct kernfs_node *parent;
};
struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
	int level; /* how many cgroups are above it */
};
struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};
struct css_set {
	struct cgroup_subsys_state *subsys[1];
};
enum cgroup_subsys_id {
	memory_cgrp_id = 0, /* relocated */
};

struct page_counter {
	atomic64_like usage;
	unsigned long max;
	unsigned long watermark;
};
enum memcg_memory_event {
	MEMCG_OOM = 0, /* relocated */
};
struct mem_cgroup {
	struct cgroup_subsys_state css;
	atomic64_like memory_events_local[1];
	struct page_counter memory;
	struct page_counter swap; /* in a union with memsw, which cgroup v1 uses */
	_Bool oom_group;
};
struct oom_control {
	struct mem_cgroup *memcg;
};
/* Absent where CONFIG_MEMCG_V1 is off (6.11-rc1, e93d4166b40a). */
struct mem_cgroup___v1 {
	_Bool oom_lock;
};

struct task_struct {
	int pid;
	int tgid;
	char comm[16];
	__u64 start_boottime;
	struct mm_struct *mm;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct cred *real_cred;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
	struct css_set *cgroups;
};

/* 6.9-rc1, 72ba14deb40a, and backports: with these fields the raw tracepoint's argument 0 is the task, before it
 * was the victim's pid. */
struct trace_event_raw_mark_victim {
	unsigned long total_vm;
};

#pragma clang attribute pop

#endif
