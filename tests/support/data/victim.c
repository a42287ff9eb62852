// victim ACTION MIB [...]: a process for the kernel to kill.
//   hog MIB           take MIB mebibytes, then sleep
//   prey MIB          the same, and make itself the OOM killer's first choice
//   threads MIB N     N threads take them together
//   orphan MIB        the first thread ends, a second one takes them: a process whose leader is gone
//   title MIB TEXT    write TEXT over the arguments first, as setproctitle does
//   shmem MIB         take memory that it shares, as a database does
//   parent MIB N      N children take MIB mebibytes each; it waits for the last of them and lives on
//   init MIB          a child takes them; it waits for it and ends as the child did, as an init wrapper does
//   careless MIB      a child takes them, and nobody waits for it: it stays a zombie
//   herd MIB N        N children wait, with no memory of their own; it waits with them
//   storm MIB N       N children take MIB mebibytes one after another, each to be killed; it ends well if all were
//   file MIB PATH     write a file of MIB mebibytes, then sleep
//   leave MIB PATH    the same, and end
//   locked MIB PATH   the same, and lock its pages into memory, then sleep
//   pipes MIB         fill pipes with MIB mebibytes, then sleep
//   sockets MIB       the same with unix sockets, message by message
//   tcp MIB           the same with TCP connections to itself
//   tables MIB        look at a page in every 2 MiB of memory, until page tables take MIB mebibytes, then sleep
// More arguments may follow, and options go before ACTION; they are there to be seen. With GO=N in the environment it
// first waits for a byte from file descriptor N. Exit status 2: bad usage or no memory to be had.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t bytes_each;
static int sharing = MAP_PRIVATE;

static _Noreturn void rest(void)
{
	for (;;)
		pause();
}

static void *take(void *unused)
{
	(void)unused;
	char *memory = mmap(NULL, bytes_each, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		_exit(2);
	for (size_t at = 0; at < bytes_each; at += 4096)
		memory[at] = 1;
	rest();
}

static char block[64 << 10];

static void write_file(const char *path, int lock)
{
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (file < 0)
		_exit(2);
	for (size_t at = 0; at < bytes_each; at += sizeof block)
		if (write(file, block, sizeof block) != sizeof block)
			_exit(2);
	if (lock) {
		void *pages = mmap(NULL, bytes_each, PROT_READ, MAP_SHARED, file, 0);
		if (pages == MAP_FAILED || mlock(pages, bytes_each))
			_exit(2);
	}
	close(file);
}

static void tcp_pair(int ends[2])
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof to;
	int listening = socket(AF_INET, SOCK_STREAM, 0);
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listening, (void *)&to, size) || listen(listening, 1) ||
	    getsockname(listening, (void *)&to, &size) || connect(ends[0], (void *)&to, size))
		_exit(2);
	ends[1] = accept(listening, NULL, NULL);
	close(listening);
}

// Fill one kind of buffer after the other with messages of that many bytes.
static void fill(void (*open_pair)(int[2]), size_t message)
{
	size_t filled = 0;
	while (filled < bytes_each) {
		int ends[2] = {-1, -1};
		open_pair(ends);
		ssize_t written;
		if (ends[1] < 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK))
			_exit(2);
		while (filled < bytes_each && (written = write(ends[1], block, message)) > 0)
			filled += written;
	}
}

static void pipe_pair(int ends[2])
{
	if (pipe(ends) || fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) < 0)
		_exit(2);
}

static void unix_pair(int ends[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		_exit(2);
}

// Reading maps the zero page: a table of 4 KiB for each 2 MiB, and no memory of its own.
static void page_tables(void)
{
	size_t step = 2 << 20, length = bytes_each / 4096 * step;
	volatile char *memory = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED || prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		_exit(2);
	for (size_t at = 0; at < length; at += step)
		(void)memory[at];
}

static void first_choice(void)
{
	int file = open("/proc/self/oom_score_adj", O_WRONLY);
	if (file < 0 || write(file, "1000", 4) != 4)
		_exit(2);
	close(file);
}

// To be PID 1 with one child.
static int first_process(int waits)
{
	int status;
	pid_t child = fork();
	if (child == 0)
		take(NULL);
	if (!waits)
		rest();
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return 2;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	while (argc > 1 && argv[1][0] == '-')
		argv++, argc--;
	if (argc < 3)
		return 2;
	char go, *from = getenv("GO");
	if (from && read(atoi(from), &go, 1) < 0)
		return 2;
	bytes_each = (size_t)atol(argv[2]) << 20;
	pthread_t thread;
	if (!strcmp(argv[1], "prey"))
		first_choice();
	if (!strcmp(argv[1], "threads") && argc > 3) {
		int threads = atoi(argv[3]);
		bytes_each /= threads;
		while (--threads > 0)
			pthread_create(&thread, NULL, take, NULL);
	}
	if (!strcmp(argv[1], "orphan")) {
		pthread_create(&thread, NULL, take, NULL);
		pthread_exit(NULL);
	}
	if (!strcmp(argv[1], "title") && argc > 3) {
		size_t room = argv[argc - 1] + strlen(argv[argc - 1]) - argv[0];
		char *text = strdup(argv[3]);
		memset(argv[0], 0, room);
		strncpy(argv[0], text, room);
	}
	int leaving = !strcmp(argv[1], "leave"), locking = !strcmp(argv[1], "locked");
	if (argc > 3 && (leaving || locking || !strcmp(argv[1], "file"))) {
		write_file(argv[3], locking);
		if (leaving)
			return 0;
		rest();
	}
	if (!strcmp(argv[1], "pipes") || !strcmp(argv[1], "sockets") || !strcmp(argv[1], "tcp")) {
		if (argv[1][0] == 'p')
			fill(pipe_pair, sizeof block);
		else if (argv[1][0] == 's')
			fill(unix_pair, 2000);
		else
			fill(tcp_pair, sizeof block);
		rest();
	}
	if (!strcmp(argv[1], "tables")) {
		page_tables();
		rest();
	}
	if (!strcmp(argv[1], "shmem"))
		sharing = MAP_SHARED;
	if (!strcmp(argv[1], "storm") && argc > 3) {
		int status, survived = 0;
		for (int children = atoi(argv[3]); children > 0; children--) {
			pid_t child = fork();
			if (child == 0) {
				first_choice();
				take(NULL);
			}
			if (child < 0) { // what the one before held is not all given back
				children++;
				usleep(1000);
				continue;
			}
			wait(&status);
			survived |= !WIFSIGNALED(status);
		}
		return survived;
	}
	int waits = !strcmp(argv[1], "init");
	if (waits || !strcmp(argv[1], "careless"))
		return first_process(waits);
	int herd = !strcmp(argv[1], "herd");
	if ((herd || !strcmp(argv[1], "parent")) && argc > 3) {
		for (int children = atoi(argv[3]); children > 0; children--)
			if (fork() == 0) {
				if (herd)
					rest();
				take(NULL);
			}
		while (wait(NULL) > 0)
			;
		rest();
	}
	take(NULL);
}
