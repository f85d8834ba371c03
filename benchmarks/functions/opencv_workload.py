"""Edges of a drawn circle with OpenCV."""

import cv2
import numpy as np


def handler(event, context):
    image = np.zeros((64, 64, 3), np.uint8)
    cv2.circle(image, (32, 32), 10, (255, 255, 255), -1)
    edges = cv2.Canny(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), 50, 150)
    return int(cv2.countNonZero(edges) > 0)
