/* What ps shows of the launcher's background processes: not one more copy of some command. */
#ifndef TYKKY_TITLE_H
#define TYKKY_TITLE_H

/* Notes where the kernel put the words of the command line, which are what ps reads. */
void title_remember(char **argv);

/* Calls this process `name`, of at most 15 characters, and has ps show `subject` after it. */
void title_set(const char *name, const char *subject);

#endif
