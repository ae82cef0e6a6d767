#include "octal.h"

bool octal_decode(char *text)
{
    char *to = text;
    for (char *from = text; *from; to++) {
        if (*from != '\\') {
            *to = *from++;
            continue;
        }
        for (int i = 1; i <= 3; i++)
            if (from[i] < '0' || from[i] > '7')
                return false;
        int byte = (from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0');
        if (byte == 0 || byte > 255)
            return false;
        *to = (char)byte;
        from += 4;
    }
    *to = '\0';
    return true;
}
