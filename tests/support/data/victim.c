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
// More arguments may follow; they are there to be seen. With GO=N in the environment it first waits for a byte from file
// descriptor N. Exit status 2: bad usage or no memory to be had.
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t bytes_each;
static int sharing = MAP_PRIVATE;

static void *take(void *unused)
{
	(void)unused;
	char *memory = mmap(NULL, bytes_each, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		_exit(2);
	for (size_t at = 0; at < bytes_each; at += 4096)
		memory[at] = 1;
	for (;;)
		pause();
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
	while (!waits)
		pause();
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return 2;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
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
				while (herd)
					pause();
				take(NULL);
			}
		while (wait(NULL) > 0)
			;
		for (;;)
			pause();
	}
	take(NULL);
}
