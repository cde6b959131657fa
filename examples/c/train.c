/* Trains a logistic regression in C, with the gradient that lms made of logistic.py:
 *
 *     lms compile logistic.py:loss --grad --emit c -o gradient.c
 *     lms compile logistic.py:loss --grad --emit h -o gradient.h
 *     cc -std=c11 -O2 train.c gradient.c -o train -lm && ./train
 */
#include <stdio.h>

#include "gradient.h"

enum { ROWS = 6, COLUMNS = 3 };

static const double x[ROWS * COLUMNS] = {
    1, 0.5, 1.2,  1, -0.3, 0.8,  1, 1.1, 2.0,  1, -1.2, -0.4,  1, -0.7, -1.5,  1, 0.2, -2.2,
};
static const double y[ROWS] = {1, 1, 1, -1, -1, -1};

int main(void) {
    static _Alignas(16) char memory[4096]; /* all the memory it may take */
    lms_context lms = {.workspace = memory, .workspace_size = sizeof memory};
    double w[COLUMNS] = {0}, slope[COLUMNS];
    for (int step = 0; step < 200; step++) {
        if (grad_loss(&lms, COLUMNS, ROWS, w, x, y, slope) != LMS_OK) {
            fprintf(stderr, "%s:%d: %s\n", lms.file, lms.line, lms.message);
            return 1;
        }
        for (int j = 0; j < COLUMNS; j++) w[j] -= slope[j];
    }
    int right = 0;
    for (int i = 0; i < ROWS; i++) {
        double z = 0;
        for (int j = 0; j < COLUMNS; j++) z += x[i * COLUMNS + j] * w[j];
        right += z * y[i] > 0;
    }
    printf("%d of %d rows right, in %zu bytes of memory\n", right, ROWS, lms.most);
    lms_finish(&lms);
    return right == ROWS ? 0 : 1;
}
